"""The header with which a client chooses for how long text is gathered into one frame."""

from dataclasses import replace
from typing import Annotated

from fastapi import Header
from starlette.datastructures import Headers

from ..errors.http import BadRequest
from ..turns.subscription import Pace

FLUSH_HEADER = "x-chatkit-flush-ms"
MOST = 1000

FlushMs = Annotated[
    float | None,
    Header(ge=0, le=MOST, description="Milliseconds for which text is gathered; `CHATKIT_FLUSH_MS` by default."),
]


def pace(default: Pace, flush_ms: float | None) -> Pace:
    """Return how often a reader gets frames, which may have asked for a window in milliseconds."""
    return default if flush_ms is None else replace(default, window=flush_ms / 1000)


def requested_pace(headers: Headers, default: Pace) -> Pace:
    """Return how often the sender of a request gets frames. Raises `BadRequest` for a header that is not a window."""
    value = headers.get(FLUSH_HEADER)
    if value is None:
        return default
    try:
        flush_ms = float(value)
    except ValueError:
        flush_ms = -1
    if not 0 <= flush_ms <= MOST:
        raise BadRequest(f"`{FLUSH_HEADER}` must be a number of milliseconds from 0 to {MOST}.")
    return pace(default, flush_ms)
