"""A tap at a model: a run's listener gets every event straight from the model, before the Agents SDK handles it.

The SDK passes each event through a retry wrapper, a queue and a task of its own. It needs only the events that carry
items and the finished response, so those go on to it as well; text deltas, which are nearly all, end here. The
listener sees all of them, in the order in which the model sent them.

A tap belongs to the task of a run (`RunResultStreaming.run_loop_task`), so that a run inside a tool, which has a task
or at least a result of its own, is never heard by the run around it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

Listener = Callable[[TResponseStreamEvent], None]


class Tap:
    """What one run hears of its models."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._passed_on: set[int] = set()

    def hear(self, event: TResponseStreamEvent) -> bool:
        """Gives the event to the listener; says whether the SDK needs it too."""
        self._listener(event)
        if type(event) is ResponseTextDeltaEvent:
            return False
        self._passed_on.add(id(event))
        return True

    def was_heard(self, event: object) -> bool:
        """Whether this very event, now coming from the SDK, was heard before. Answers yes once."""
        known = id(event) in self._passed_on
        self._passed_on.discard(id(event))
        return known


_taps: WeakKeyDictionary[asyncio.Task[Any], Tap] = WeakKeyDictionary()


def open_tap(run: asyncio.Task[Any] | None, listener: Listener) -> Tap:
    """A tap for the run whose task this is, until `close_tap`. A model that knows no taps is simply not heard."""
    tap = Tap(listener)
    if run is not None:
        _taps[run] = tap
    return tap


def close_tap(run: asyncio.Task[Any] | None) -> None:
    """The run has ended. Its listener knows it, so the weak key alone would keep both for good."""
    if run is not None:
        _taps.pop(run, None)


async def tapped(events: AsyncIterator[TResponseStreamEvent]) -> AsyncIterator[TResponseStreamEvent]:
    """A model's events; where the current task's run has a tap, without those that only the tap needs."""
    task = asyncio.current_task()
    tap = None if task is None else _taps.get(task)
    try:
        async for event in events:
            if tap is None or tap.hear(event):
                yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


TextSink = Callable[[str, int, str], None]
"""Takes an item's id, the index of its part and the text. Never waits."""

text_sink: ContextVar[TextSink | None] = ContextVar("text_sink", default=None)
"""Where the text of the turn goes whose task this is."""
