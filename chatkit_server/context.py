"""The request being served: its user, locale and id."""

from collections.abc import Mapping
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import SkipValidation
from starlette.requests import HTTPConnection, Request

from chatkit_store import Owner

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")
"""The id of the request that the current task serves; `-` outside of any request.

Set for each HTTP request and WebSocket frame. Tasks inherit it, so the turn that a request starts keeps its id.
`startup.logs.RequestIdFilter` puts it on every log record.
"""

HTTP_SCHEMES = {"ws": "http", "wss": "https"}

OUTER_APP = "chatkit_server.outer_app"
"""The key in an ASGI scope of the app that the server is mounted in."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a chat session allows: `chatkit_configuration`, `rate_limits` and `workflow` of the sessions API."""

    id: str
    workflow_id: str
    requests_per_minute: int | None
    """None without a limit of its own."""
    workflow_version: str | None = None
    state_variables: Mapping[str, str | int | bool | float] = field(default_factory=dict)
    has_titles: bool = True
    has_uploads: bool = False
    max_file_bytes: int = 512 * 1024**2
    max_files: int = 10
    """Of one message."""
    has_history: bool = True
    recent_threads: int | None = None
    """How many threads the history shows; None for all."""
    has_tracing: bool = True
    """Whether traces are uploaded where the settings allow it."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The context of a request, passed to every store call, agent and tool."""

    user_id: str
    request_id: str = "-"
    locale: str = "en"
    frame_id: str | None = None
    """`chatkit-frame-instance-id` of a ChatKit frame (a UUID per iframe load); None for any other client."""
    tenant: str = ""
    """Keeps the users of different customers apart; empty without tenants."""
    user_name: str | None = None
    """How the user may be addressed, if the login says so."""
    is_admin: bool = False
    is_anonymous: bool = False
    """Whether the user is a visitor without a login."""
    address_key: str | None = None
    """What the address of such a visitor is counted under; never the address itself."""
    session: SessionTerms | None = None
    """The chat session whose client secret the request has, if it has one."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The headers that CHATKIT_CONTEXT_HEADERS names, by names in any case. Clients may send anything in them."""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The verified claims of the request's JWT; empty without one."""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What the login says of the user, whichever it is: `User.metadata` of a login function, the `state_variables` of a
    chat session, the claims of a JWT."""
    connection: Annotated[HTTPConnection | None, SkipValidation] = field(default=None, repr=False, compare=False)
    """The request itself, or the WebSocket; None where there is none, such as for an upload by a signed URL."""

    @property
    def owner(self) -> Owner:
        """Who owns what the request creates: compare this, never `user_id` alone."""
        return Owner(self.tenant, self.user_id)

    @property
    def session_id(self) -> str | None:
        """The id of the chat session, if there is one."""
        return None if self.session is None else self.session.id

    @property
    def state_variables(self) -> Mapping[str, str | int | bool | float]:
        """What the customer's backend said about the user when it made the session."""
        return {} if self.session is None else self.session.state_variables


def request_of(context: RequestContext) -> Request | None:
    """Return the request as the author's own app would have got it; also for a WebSocket, whose handshake is one."""
    return None if context.connection is None else outer_request(context.connection)


def outer_request(connection: HTTPConnection) -> Request:
    """Return a request, or the handshake of a WebSocket, as the app around this one would have got it."""
    scope, changes = connection.scope, dict[str, Any]()
    if (outer := scope.get(OUTER_APP)) is not None:
        changes["app"] = outer
    if isinstance(connection, Request):
        if not changes:
            return connection
        request = copy(connection)  # with the body, which has been read
        request.scope = {**scope, **changes}
        return request
    scheme = scope.get("scheme", "ws")
    changes |= {"type": "http", "method": "GET", "scheme": HTTP_SCHEMES.get(scheme, scheme)}
    return Request({**scope, **changes})
