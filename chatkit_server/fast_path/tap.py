"""Fast path for text deltas: model tap → turn log, skipping the queue. Saves a third of the per-token cost.

The Agents SDK passes each event of a model through a retry wrapper, a queue and a separate task. A tap hands every
event to the run's listener as soon as the model yields it, in the model's order. The SDK gets only the events it needs,
which carry items and the finished response; text deltas, nearly all of the events, stop at the tap unless an author's
code reads the events too (`pass_text_on`). The listener may hand their text straight to the turn's log (`text_sink`).

A tap belongs to the task of one run (`RunResultStreaming.run_loop_task`), so a run never hears the model of another run
that one of its tools starts.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

Listener = Callable[[TResponseStreamEvent], None]


class Tap:
    """Passes the events of one run's models to a listener."""

    def __init__(self, listener: Listener, *, passes_text_on: bool = False) -> None:
        self._listener = listener
        self._passes_text_on = passes_text_on
        self._passed_on: set[int] = set()

    def hear(self, event: TResponseStreamEvent) -> bool:
        """Give the event to the listener; return whether the SDK needs it too."""
        self._listener(event)
        if type(event) is ResponseTextDeltaEvent and not self._passes_text_on:
            return False
        self._passed_on.add(id(event))
        return True

    def was_heard(self, event: object) -> bool:
        """Return whether the listener got this object before the SDK did. Returns True once per event."""
        was_passed_on = id(event) in self._passed_on
        self._passed_on.discard(id(event))  # the id may be reused once the event is freed
        return was_passed_on


_taps: WeakKeyDictionary[asyncio.Task[Any], Tap] = WeakKeyDictionary()
_read_runs: WeakSet[asyncio.Task[Any]] = WeakSet()


def pass_text_on(run: asyncio.Task[Any] | None) -> None:
    """Let the SDK get the text deltas of the run with this task too, because an author's code reads its events."""
    if run is not None:
        _read_runs.add(run)


def open_tap(run: asyncio.Task[Any] | None, listener: Listener) -> Tap:
    """Tap the models of the run with this task until `close_tap`. Models that do not support taps are not heard."""
    tap = Tap(listener, passes_text_on=run in _read_runs)
    if run is not None:
        _taps[run] = tap
    return tap


def close_tap(run: asyncio.Task[Any] | None) -> None:
    """Close the tap of a run that has ended.

    The weak key alone would never be freed, because the listener refers back to the run.
    """
    if run is not None:
        _taps.pop(run, None)


def share_tap(run: asyncio.Task[Any] | None) -> None:
    """Let the tap of the current task hear the models of the run with this task too."""
    if run is not None and (task := asyncio.current_task()) is not None and (tap := _taps.get(task)) is not None:
        _taps[run] = tap


async def tapped(
    events: AsyncIterator[TResponseStreamEvent], prepare: Listener | None = None
) -> AsyncIterator[TResponseStreamEvent]:
    """Yield a model's events; if the current task's run has a tap, only those that the SDK needs.

    `prepare` may change an event before anything else gets it; it does not get text deltas.
    """
    task = asyncio.current_task()
    tap = None if task is None else _taps.get(task)
    try:
        async for event in events:
            if prepare is not None and type(event) is not ResponseTextDeltaEvent:
                prepare(event)
            if tap is None or tap.hear(event):
                yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


TextSink = Callable[[str, int, str], None]
"""Takes an item's id, the index of the content part and the text. Never waits."""

text_sink: ContextVar[TextSink | None] = ContextVar("text_sink", default=None)
"""Takes the text of the current task's turn."""
