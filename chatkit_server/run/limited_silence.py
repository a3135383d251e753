"""The events of a run that an author's code reads: those of the Agents SDK, with the deadlines of the settings.

If the turn is stopped, their reader is cancelled. The Agents SDK (0.24) only ends the events then, and asyncio would
log the end of an `anext` that nobody awaits: chatkit's `stream_agent_response` leaves one behind when it is closed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from agents import RunResultStreaming, StreamEvent
from agents.stream_events import RawResponsesStreamEvent

from .deadlines import MAX_WAIT, Activity, Deadlines


def limit_silence(result: RunResultStreaming, deadlines: Deadlines, *, is_stopped: Callable[[], bool]) -> None:
    """Make `result.stream_events()` raise `ModelSilent` or `ToolSilent` when a deadline passes; that ends the run.

    `is_stopped` says whether the turn was stopped.
    """
    read: Any = result.stream_events

    async def stream_events() -> AsyncIterator[StreamEvent]:
        activity = Activity(deadlines)
        async with aclosing(read()) as events:
            while True:
                try:
                    async with asyncio.timeout(min(activity.limit(), MAX_WAIT)) as time_limit:
                        event = await anext(events)
                except (StopAsyncIteration, TimeoutError):
                    if time_limit.expired():
                        result.cancel()
                        raise activity.silence() from None
                    if is_stopped():
                        raise asyncio.CancelledError from None
                    return
                activity.event_count += 1
                activity.note(event.data if isinstance(event, RawResponsesStreamEvent) else event)
                yield event

    result.stream_events = stream_events  # type: ignore[method-assign]  # read by the author's code
