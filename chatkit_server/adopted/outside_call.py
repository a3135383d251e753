"""Who asks when the author's code uses its store outside of our operations, such as in a route of its own app."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request

from chatkit_store import SqlStore

from ..context import RequestContext, current_request_id
from ..errors.http import ServerError
from .author_call import AuthorCall
from .author_links import AuthorLinks

Authenticate = Callable[[HTTPConnection], Awaitable[RequestContext]]


class OutsideRequest(RuntimeError):
    """The author's code used its store outside of any request, so that nobody knows for which user."""

    def __init__(self) -> None:
        super().__init__(
            "the store of an adopted server was used for an unknown user: outside of a ChatKit request, its context "
            'must be {"request": request}, or have an attribute `request`, with a request of a logged-in user'
        )


class OutsideCalls:
    """Finds the user in the request that is in the author's context.

    The user is the one whom the URL of a file was signed for, or else the one who is logged in. A login by a proxy's
    headers is not seen in another app than ours: only ours removes such headers from the requests of anybody else.
    """

    def __init__(self, store: SqlStore[RequestContext], links: AuthorLinks, authenticate: Authenticate) -> None:
        self._store = store
        self._links = links
        self._authenticate = authenticate

    async def call_for(self, author_context: Any, attachment_id: str | None = None) -> AuthorCall:
        """Return a call for the request in the author's context. Raises `OutsideRequest`."""
        request = _request_in(author_context)
        if request is None:
            raise OutsideRequest
        owner = self._links.owner_of(request, attachment_id) if attachment_id is not None else None
        if owner is not None:
            return AuthorCall(RequestContext(**owner._asdict(), request_id=current_request_id.get()), self._store)
        try:
            return AuthorCall(await self._authenticate(_with_id(request)), self._store)
        except ServerError as error:
            raise OutsideRequest from error


def _request_in(author_context: Any) -> HTTPConnection | None:
    if isinstance(author_context, Mapping):
        author_context = author_context.get("request")
    elif not isinstance(author_context, HTTPConnection):
        author_context = getattr(author_context, "request", None)
    return author_context if isinstance(author_context, HTTPConnection) else None


def _with_id(request: HTTPConnection) -> HTTPConnection:
    """Return the request with an id: in another app than ours, it has none."""
    if "request_id" in request.scope.get("state", {}):
        return request
    state = {**request.scope.get("state", {}), "request_id": current_request_id.get()}
    kind = Request if request.scope["type"] == "http" else HTTPConnection
    return kind({**request.scope, "state": state})
