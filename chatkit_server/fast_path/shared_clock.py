"""One timer of the event loop for the waits of all answers: flush windows, pings, silences, deadlines.

An asyncio timer per answer and purpose costs a wake-up each. Here, waits that end close to each other share one: a wait
is rounded up, the more the longer it is.
"""

import asyncio
import heapq
from collections.abc import Callable
from time import monotonic
from weakref import WeakKeyDictionary

Callback = Callable[[], object]

STEPS = ((0.02, 1), (0.5, 5), (5.0, 50))
"""Waits up to so many seconds end at multiples of so many milliseconds."""
LONGEST_STEP = 500


def _nothing() -> None:
    pass


class Wait:
    """A callback that waits for its time."""

    __slots__ = ("_others", "callback")

    def __init__(self, callback: Callback, others: "dict[Wait, None]") -> None:
        self.callback = callback
        self._others = others
        others[self] = None

    def cancel(self) -> None:
        """Do not call back; no effect after the call."""
        self._others.pop(self, None)
        # Its owner may keep this wait, and would be freed by the garbage collector only.
        self.callback = _nothing
        if not self._others:
            self._others.clear()  # gives back the table of a dict that was large, and whose time may be far away


class Clock:
    """Calls back at the end of an iteration of the event loop, or later, never early."""

    def __init__(self) -> None:
        self._soon: list[Callback] = []
        self._waits: dict[int, dict[Wait, None]] = {}
        """By the millisecond at which they end."""
        self._ends: list[int] = []
        """A heap of the keys of `_waits`."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_end = 0

    def call_soon(self, callback: Callback) -> None:
        """Call back once what arrived at the same time has been handled."""
        if not self._soon:
            asyncio.get_running_loop().call_soon(self._call_soon)
        self._soon.append(callback)

    def call_later(self, seconds: float, callback: Callback) -> Wait:
        """Call back once after `seconds` or a little more (`STEPS`)."""
        step = next((step for limit, step in STEPS if seconds <= limit), LONGEST_STEP)
        end = -int(-(monotonic() + seconds) * 1000 // step) * step
        waits = self._waits.get(end)
        if waits is None:
            waits = self._waits[end] = {}
            heapq.heappush(self._ends, end)
            if self._timer is None or end < self._timer_end:
                self._set_timer()
        return Wait(callback, waits)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ends:
            self._timer_end = self._ends[0]
            seconds = max(0.0, self._timer_end / 1000 - monotonic())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = monotonic() * 1000
        while self._ends and self._ends[0] <= now:
            waits = self._waits.pop(heapq.heappop(self._ends))
            while waits:  # a callback may cancel one that waits beside it
                wait = next(iter(waits))
                callback = wait.callback
                wait.cancel()
                self._call(callback)
        self._set_timer()

    def _call_soon(self) -> None:
        callbacks, self._soon = self._soon, []
        for callback in callbacks:
            self._call(callback)

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as error:  # the others do not suffer
            context = {"message": "a callback of the clock failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


_clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, Clock] = WeakKeyDictionary()


def clock() -> Clock:
    """Return the clock of the running event loop."""
    loop = asyncio.get_running_loop()
    if (shared := _clocks.get(loop)) is None:
        shared = _clocks[loop] = Clock()
    return shared
