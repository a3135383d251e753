"""A request whose headers are looked up in a dictionary.

Starlette's `Headers` walk over all headers for each look-up, and the protocol's route reads about ten of them.
"""

from typing import Any, Self

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

SCOPE_KEY = "chatkit_server.headers"


class IndexedHeaders(Headers):
    """Headers of a request, of which the first counts where there are several of a name."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._indexed = raw
        self._first = dict(reversed(raw))

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Return the headers of a request, which are indexed once as long as nobody replaces them."""
        raw = scope["headers"]
        indexed = scope.get(SCOPE_KEY)
        if isinstance(indexed, cls) and indexed._indexed is raw:
            return indexed
        if not isinstance(raw, list):  # any iterable may be there
            scope["headers"] = raw = [*raw]
        scope[SCOPE_KEY] = indexed = cls(raw)
        return indexed

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
        self._indexed = IndexedHeaders.of(scope)

    @property
    def headers(self) -> Headers:
        """As `Request.headers`."""
        return self._indexed
