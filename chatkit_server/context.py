"""The request being served: its user, locale and id."""

from contextvars import ContextVar
from dataclasses import dataclass

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")
"""The id of the request that the current task serves; `-` outside of any request.

Set for each HTTP request and WebSocket frame. Tasks inherit it, so the turn that a request starts keeps its id.
`startup.logs.RequestIdFilter` puts it on every log record.
"""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The context of a request, passed to every store call, agent and tool."""

    user_id: str
    request_id: str = "-"
    locale: str = "en"
    frame_id: str | None = None
    """`chatkit-frame-instance-id` of a ChatKit frame (a UUID per iframe load); None for any other client."""
