"""Fast path for text deltas: model tap → turn log, skipping the queue. Saves a third of the per-token cost.

The Agents SDK passes each event of a model through a retry wrapper, a queue and a separate task. A tap hands every
event to the run's listener as soon as the model yields it, in the model's order. The SDK gets only the events it needs,
which carry items and the finished response; text deltas, nearly all of the events, stop at the tap unless an author's
code reads the events too (`pass_text_on`). The listener may hand their text straight to the turn's log
(`set_text_sink`).

A tap belongs to the task of one run (`RunResultStreaming.run_loop_task`), so a run never hears the model of another run
that one of its tools starts.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary, WeakMethod, WeakSet

from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

Listener = Callable[[TResponseStreamEvent], None]
TextListener = Callable[[ResponseTextDeltaEvent, str, int], None]
"""Takes an earlier text delta of the same content part, the text that follows, and how many tokens it has."""

EVENTS_PER_TURN = 64
"""Events that a model may yield at once before the event loop gets its turn."""


class Tap:
    """Passes the events of one run's models to a listener."""

    __slots__ = (
        "_expected",
        "_last_text",
        "_last_text_at",
        "_listener",
        "_passed_on",
        "_passes_text_on",
        "_text_listener",
        "heard",
        "is_closed",
    )

    def __init__(
        self, listener: Listener, text_listener: TextListener | None = None, *, passes_text_on: bool = False
    ) -> None:
        """`text_listener` takes text that has not been made an event; None if all text must be one."""
        self.is_closed = False
        self.heard = 0
        """How many events the listener has got."""
        self._listener = listener
        self._text_listener = None if passes_text_on else text_listener
        self._passes_text_on = passes_text_on
        self._passed_on: set[int] = set()
        self._last_text: ResponseTextDeltaEvent | None = None
        self._last_text_at = 0
        self._expected: str | None = None

    def close(self) -> None:
        """Hear nothing more, and keep nothing of the run, which refers to its tap."""
        self.is_closed = True
        self._listener = _ignore
        self._text_listener = self._last_text = None

    def hear(self, event: TResponseStreamEvent) -> bool:
        """Give the event to the listener; return whether the SDK needs it too."""
        if type(event) is ResponseTextDeltaEvent:
            if self._expected is not None and event.delta == self._expected:
                self._expected = None
                return self._passes_text_on
            self._last_text, self._last_text_at = event, self.heard + 1
        self.heard += 1
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

    # -- text without an event (`fast_body.py`)

    @property
    def takes_text(self) -> bool:
        """Whether `hear_text` may be called."""
        return self._text_listener is not None and not self.is_closed

    def has_just_heard(self, text: str, *, since: int) -> bool:
        """Return whether a delta with this text was the last event, and more than `since` were heard."""
        last = self._last_text
        if last is None or self._last_text_at != self.heard or self.heard <= since:
            return False
        return last.delta == text and not last.logprobs

    def hear_text(self, text: str, tokens: int) -> None:
        """Give text of the content part of the last text delta to the listener."""
        if self._text_listener is not None and self._last_text is not None:
            self._text_listener(self._last_text, text, tokens)

    def expect_again(self, text: str) -> None:
        """Ignore the next delta with this text: it was heard already."""
        self._expected = text


def _ignore(event: TResponseStreamEvent) -> None:
    """Nobody listens any more."""


_taps: WeakKeyDictionary[asyncio.Task[Any], Tap] = WeakKeyDictionary()
_read_runs: WeakSet[asyncio.Task[Any]] = WeakSet()


def pass_text_on(run: asyncio.Task[Any] | None) -> None:
    """Let the SDK get the text deltas of the run with this task too, because an author's code reads its events."""
    if run is not None:
        _read_runs.add(run)


def open_tap(run: asyncio.Task[Any] | None, listener: Listener, text_listener: TextListener | None = None) -> Tap:
    """Tap the models of the run with this task until `close_tap`. Models that do not support taps are not heard."""
    tap = Tap(listener, text_listener, passes_text_on=run in _read_runs)
    if run is not None:
        _taps[run] = tap
    return tap


def close_tap(run: asyncio.Task[Any] | None) -> None:
    """Close the tap of a run that has ended.

    The weak key alone would never be freed, because the listener refers back to the run.
    """
    if run is not None and (tap := _taps.pop(run, None)) is not None:
        tap.close()


def current_tap() -> Tap | None:
    """Return the tap of the current task's run."""
    task = asyncio.current_task()
    return None if task is None else _taps.get(task)


def share_tap(run: asyncio.Task[Any] | None) -> None:
    """Let the tap of the current task hear the models of the run with this task too."""
    if run is not None and (task := asyncio.current_task()) is not None and (tap := _taps.get(task)) is not None:
        _taps[run] = tap


async def tapped(
    events: AsyncIterator[TResponseStreamEvent], prepare: Listener | None = None, *, is_on: bool = True
) -> AsyncIterator[TResponseStreamEvent]:
    """Yield a model's events; if the current task's run has a tap, only those that the SDK needs.

    `prepare` may change an event before anything else gets it; it does not get text deltas. `is_on` can switch the tap
    off. However many events come at once, the event loop gets its turn between them.
    """
    tap = current_tap() if is_on else None
    count = 0
    try:
        async for event in events:
            if prepare is not None and type(event) is not ResponseTextDeltaEvent:
                prepare(event)
            if tap is None or tap.hear(event):
                yield event
            count += 1
            if count % EVENTS_PER_TURN == 0:
                await asyncio.sleep(0)
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


TextSink = Callable[[str, int, str], None]
"""Takes an item's id, the index of the content part and the text. Never waits."""

_text_sink: ContextVar[WeakMethod[TextSink] | None] = ContextVar("text_sink", default=None)


def set_text_sink(sink: TextSink) -> None:
    """Let a method take the text of the current task's turn.

    It is not kept alive: pooled connections to a model keep the context in which they were opened, and so whatever
    that refers to, long after the turn.
    """
    _text_sink.set(WeakMethod(sink))


def text_sink() -> TextSink | None:
    """Return what takes the text of the current task's turn."""
    sink = _text_sink.get()
    return None if sink is None else sink()
