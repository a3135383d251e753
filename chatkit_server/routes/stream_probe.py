"""A short stream with which `doctor --url` finds out whether a proxy passes events on as they are sent."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from ..errors.http import TooManyRequests
from ..limits.rate import Rate
from .error_responses import ERRORS
from .event_stream import SSE_HEADERS

router = APIRouter(prefix="/api/stream", tags=["health"])

EVENTS = 4
PAUSE_SECONDS = 0.15
AT_ONCE, PER_SECOND = 10, 1.0
"""How many streams a worker starts: they need no login, and each keeps a connection for half a second."""
SERVER = "chatkit-server"


def probe_allowance() -> Rate:
    """Return how many probes an app answers."""
    return Rate(AT_ONCE, PER_SECOND)


@router.get(
    "/probe", summary="Whether streams arrive as they are sent", response_class=StreamingResponse, responses=ERRORS
)
async def probe(request: Request) -> StreamingResponse:
    """Send four events, with pauses of 150 ms. Needs no login and starts no model; at most one a second.

    `after_ms` is when an event is sent, counted from the first, `scheme` how the server takes the browser's connection.
    """
    if not request.app.state.probe_allowance.take():
        raise TooManyRequests
    return StreamingResponse(_events(request.app.version, request.scope["scheme"]), headers=SSE_HEADERS)


async def _events(version: str, scheme: str) -> AsyncIterator[str]:
    for number in range(EVENTS):
        if number:
            await asyncio.sleep(PAUSE_SECONDS)
        event = {
            "server": SERVER,
            "version": version,
            "scheme": scheme,
            "after_ms": round(number * PAUSE_SECONDS * 1000),
        }
        yield f"data: {json.dumps(event)}\n\n"
