"""A request whose headers are looked up in a dictionary.

Starlette's `Headers` walk over all headers for each look-up, and the protocol's route reads about ten of them.
"""

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


class IndexedHeaders(Headers):
    """Headers of a request, of which the first counts where there are several of a name."""

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=[*raw])
        self._first = dict(reversed(self._list))

    def __getitem__(self, key: str) -> str:
        """As `Headers`."""
        try:
            return self._first[key.lower().encode("latin-1")].decode("latin-1")
        except KeyError:
            raise KeyError(key) from None

    def get(self, key: str, default: Any = None) -> Any:
        """As `Headers`."""
        value = self._first.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def __contains__(self, key: object) -> bool:
        """As `Headers`."""
        return isinstance(key, str) and key.lower().encode("latin-1") in self._first


class DirectRequest(Request):
    """A request to the route of the protocol."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._indexed = IndexedHeaders(scope["headers"])

    @property
    def headers(self) -> Headers:
        """As `Request.headers`."""
        return self._indexed
