"""Learn when a turn of another worker has changed: by PostgreSQL's notifications, or else by looking at regular times.

All who look do so at the same moments, so that one statement serves them all.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

from chatkit_store import CannotListen, Listener, StoreError

from ..loops import background, backoff

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""The grid of moments at which turns are looked at whose changes nobody announces."""
LONGEST_WAIT = 2.0
"""Seconds after which a turn is looked at whose worker announces its changes: a notification may be lost."""
FIRST_PAUSE, LAST_PAUSE = 0.5, 60.0
"""Backoff in seconds while no connection can listen."""
CHECK_PAUSE = 10.0
"""The least time in seconds between two checks of the connection that listens."""


class Watch:
    """Waits for changes of one turn. To miss none: `expect`, look at the turn, then wait until `changed`."""

    def __init__(self, changes: "TurnChanges") -> None:
        self._changes = changes
        self._event = asyncio.Event()
        self._began = monotonic()
        self.is_announced = False
        """Whether the turn's worker has announced a change."""
        self.was_late = False
        """Whether the last wait ended without a notification."""

    def expect(self) -> None:
        """Have changes from now on end the next wait."""
        self._event.clear()

    async def changed(self, longest: float | None = None) -> None:
        """Return at the next change, or when it is time to look, after at most `longest` seconds."""
        pause = self._changes.pause(self) if longest is None else longest
        timer = asyncio.get_running_loop().call_later(pause, self._time_to_look)
        try:
            self.was_late = False
            await self._event.wait()
        finally:
            timer.cancel()

    def wake(self, *, is_announced: bool = False) -> None:
        """End the wait."""
        self.is_announced = self.is_announced or is_announced
        self._event.set()

    def found_news(self) -> None:
        """Say that the turn has changed. If no notification has said so, the connection that listens may be dead."""
        if self.was_late and (self.is_announced or monotonic() - self._began > LONGEST_WAIT):
            self._changes.doubt()

    def _time_to_look(self) -> None:
        self.was_late = True
        self._event.set()


class TurnChanges:
    """The changes of turns that run at other workers, and the signals from there."""

    def __init__(self, listener: Listener, on_signals: Callable[[list[str]], None]) -> None:
        """`on_signals` is called with ids of turns of any workers that have got a signal."""
        self._listener = listener
        self._on_signals = on_signals
        self._watches: dict[str, set[Watch]] = defaultdict(set)
        self._checking: asyncio.Task[None] | None = None
        self._checked_at = -CHECK_PAUSE
        self.is_listening = False
        """Whether notifications arrive."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen inside the block."""
        async with background("notifications", self._run):
            yield

    @contextmanager
    def watching(self, turn_id: str) -> Iterator[Watch]:
        """Yield a watch of the turn."""
        watch = Watch(self)
        self._watches[turn_id].add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[turn_id]
            watches.remove(watch)
            if not watches:
                del self._watches[turn_id]

    def pause(self, watch: Watch) -> float:
        """Return after how many seconds to look at the watched turn, if no notification comes first."""
        if self.is_listening and watch.is_announced:
            return LONGEST_WAIT
        remaining = POLL_SECONDS - asyncio.get_running_loop().time() % POLL_SECONDS
        return remaining if remaining > POLL_SECONDS / 5 else remaining + POLL_SECONDS  # timers may be early

    def doubt(self) -> None:
        """Check the connection that listens: something has happened without a notification."""
        if self.is_listening and self._checking is None and monotonic() - self._checked_at > CHECK_PAUSE:
            self._checked_at = monotonic()
            self._checking = asyncio.create_task(self._listener.check(), name="check of the listener")
            self._checking.add_done_callback(lambda _: setattr(self, "_checking", None))

    async def _run(self) -> None:
        pauses = backoff(FIRST_PAUSE, LAST_PAUSE)
        while True:
            try:
                async with self._listener.listening(self._changed, self._on_signals) as lost:
                    self._listens(True)
                    pauses = backoff(FIRST_PAUSE, LAST_PAUSE)
                    await lost.wait()
                logger.info("the connection that listens for other workers was lost; their answers are polled")
            except CannotListen as reason:
                logger.debug("answers of other workers are polled: %s", reason)
                return
            except StoreError as error:
                logger.info("no connection can listen for other workers, so their answers are polled (%s)", error)
            finally:
                self._listens(False)
            await asyncio.sleep(next(pauses))

    def _listens(self, is_listening: bool) -> None:
        """Have everybody look, for what was notified while nobody listened."""
        if self.is_listening != is_listening:
            self.is_listening = is_listening
            for watches in self._watches.values():
                for watch in watches:
                    watch.wake()

    def _changed(self, turn_ids: list[str]) -> None:
        for turn_id in turn_ids:
            for watch in self._watches.get(turn_id, ()):
                watch.wake(is_announced=True)
