"""Who asks, in which language, under which request id."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What every store call, agent and tool knows about the request it serves."""

    user_id: str
    request_id: str = "-"
    locale: str = "en"
    frame_id: str | None = None
    """`chatkit-frame-instance-id` of a ChatKit frame (a UUID per iframe load); None for any other client."""
