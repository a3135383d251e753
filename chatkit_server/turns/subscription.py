"""When a reader of a turn's log gets what is new.

Text is sent at once. What arrives together shares a frame: the first delta is sent at once, the rest at the end of the
event loop's iteration. With a flush window, deltas that follow within it share a frame. The
many readers of one turn get a window too, since each frame costs a write for each of them.

A reader's task sleeps in `changed`. Meanwhile its frames are pushed, if it has a writer, from where they are made; the
task wakes for everything else.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, Self

from ..fast_path.shared_clock import Wait, clock
from ..settings import Settings

logger = logging.getLogger(__name__)

TOGETHER_SECONDS = 0.001
"""A delta that follows this soon waits for the end of the loop's iteration."""
WINDOW_PER_READER = 0.0002
"""Seconds: 100 readers of one turn get its text 50 times a second."""

Writer = Callable[[bytes], bool]
"""Writes frames to the client now, or returns False."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a reader gets frames."""

    window: float = 0.0
    """Seconds for which text is gathered; 0 to send it at once."""
    most: int = 64
    """Deltas that are not gathered further."""
    ping_seconds: float = 15.0
    """Seconds of silence after which the reader gets a ping."""

    @classmethod
    def of_settings(cls, settings: Settings) -> Self:
        """Return the pace of the settings."""
        return cls(settings.flush_ms / 1000, settings.flush_tokens, settings.ping_seconds)


class Log(Protocol):
    """What is read."""

    closed: bool
    last: int
    is_shortened: bool

    def since(self, position: int) -> bytes:
        """Return the frames after number `position`."""

    async def load_since(self, position: int) -> tuple[bytes, int]:
        """Return the next frames of a shortened log after number `position`, and the number of the last of them."""

    def unsubscribe(self, subscription: "Subscription") -> None:
        """Remove a reader's subscription."""


class Subscription:
    """A reader's place in a log. Use it as a context manager."""

    __slots__ = (
        "_began",
        "_clock",
        "_is_due",
        "_is_scheduled",
        "_is_soon",
        "_log",
        "_needs_ping",
        "_pace",
        "_sent_at",
        "_silence",
        "_sleep",
        "_together",
        "_wait",
        "_writer",
        "position",
    )

    def __init__(self, log: Log, position: int, pace: Pace) -> None:
        self.position = position
        """The number of the last frame that the reader has."""
        self._log = log
        self._pace = pace
        self._clock = clock()
        self._wait = pace.window
        self._together = max(pace.window, TOGETHER_SECONDS)
        """Seconds after a frame in which text is gathered."""
        self._is_due = position != log.last
        self._is_scheduled = False
        self._is_soon = False
        self._sent_at = -math.inf
        self._began = monotonic()
        self._writer: Writer | None = None
        self._sleep: asyncio.Future[None] | None = None
        self._silence: Wait = self._clock.call_later(pace.ping_seconds, self._check_silence)
        self._needs_ping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._silence.cancel()
        self._log.unsubscribe(self)

    def share(self, readers: int) -> None:
        """Adapt to the number of the log's readers."""
        self._wait = max(self._pace.window, readers * WINDOW_PER_READER if readers > 1 else 0.0)
        self._together = max(self._wait, TOGETHER_SECONDS)

    # -- the reader's task

    def take(self) -> bytes:
        """Return the frames that the reader does not have yet."""
        self._is_due = False
        data = self._log.since(self.position)
        self.position = self._log.last
        self.has_sent()
        return data

    async def read(self) -> bytes:
        """As `take`; of a log that is shortened, return only the next frames, and nothing for an item that is gone."""
        if not self._log.is_shortened:
            return self.take()
        data, self.position = await self._log.load_since(self.position)
        self.has_sent()
        return data

    def has_frames(self) -> bool:
        """Return whether there are frames to send now. Text that is still gathered does not count."""
        return (self._is_due or self._log.closed) and self.position != self._log.last

    def needs_ping(self) -> bool:
        """Return whether nothing was sent for `ping_seconds`."""
        return self._needs_ping

    def has_sent(self) -> None:
        """Note that something was sent."""
        self._sent_at = monotonic()
        self._needs_ping = False

    async def changed(self, writer: Writer | None = None) -> None:
        """Sleep until the task has something to do: to send frames or a ping, or because of a `wake`.

        Frames are given to `writer` instead, as long as it takes them.
        """
        self._writer = writer
        self._sleep = asyncio.get_running_loop().create_future()
        try:
            await self._sleep
        finally:
            self._writer = self._sleep = None

    # -- the log

    def text_came(self, now: float) -> None:
        """React to a text delta, at the monotonic time `now`. This is the hot path."""
        if self._is_scheduled or self._is_soon:
            if self._log.last - self.position < self._pace.most:
                return
        elif now - self._sent_at < self._together:
            if self._wait <= TOGETHER_SECONDS:
                self._is_soon = True
                self._clock.call_soon(self._soon)
            else:
                self._is_scheduled = True
                self._clock.call_later(self._sent_at + self._wait - now, self._window_ends)
            return
        self._deliver(now)

    def event_came(self) -> None:
        """React to an event: it is sent with what comes together with it."""
        if not self._is_soon:
            self._is_soon = True
            self._clock.call_soon(self._soon)

    def wake(self) -> None:
        """Wake the reader's task."""
        self._writer = None
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    def _soon(self) -> None:
        self._is_soon = False
        self._deliver(monotonic())

    def _window_ends(self) -> None:
        self._is_scheduled = False
        self._deliver(monotonic())

    def _deliver(self, now: float) -> None:
        log = self._log
        if self.position == log.last:
            return
        if self._writer is not None:
            try:
                if self._writer(log.since(self.position)):
                    self.position, self._sent_at = log.last, now
                    return
            except Exception:
                logger.exception("frames could not be pushed")
        self._is_due = True
        self.wake()

    def _check_silence(self) -> None:
        remaining = max(self._began, self._sent_at) + self._pace.ping_seconds - monotonic()
        if remaining <= 0:
            self._needs_ping = True
            self.wake()
            remaining = self._pace.ping_seconds
        self._silence = self._clock.call_later(remaining, self._check_silence)
