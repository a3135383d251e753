"""End this worker's turns before its process ends: let them drain, interrupt what still runs, and save."""

import asyncio

from ..limits.fair_queue import FairQueue
from ..limits.starts import Starts
from ..settings import Settings
from .local_turns import LocalTurns
from .remote import RemoteTurns

CLOSE_STEPS = 3
"""How many times `stop_seconds` a shutdown may take: to end the agents, to save, and one more to spare."""
LAST_REQUEST_SECONDS = 1.0
"""How long requests are served after a signal: those that arrived before the HTTP server closed its port, which it does
within 0.1 s. To refuse them would make a restart of several workers visible to clients that do not try again."""


class Shutdown:
    """The steps from a stop signal until all turns of this worker are saved."""

    def __init__(
        self, settings: Settings, queue: FairQueue, starts: Starts, local: LocalTurns, remote: RemoteTurns
    ) -> None:
        self._drain_seconds = settings.drain_seconds
        self._stop_seconds = settings.stop_seconds
        self._queue = queue
        self._starts = starts
        self._local = local
        self._remote = remote
        self._timer: asyncio.TimerHandle | None = None
        self._drain_until: float | None = None
        self._draining: asyncio.Task[None] | None = None
        self.is_closing = False
        """No new turn starts."""

    @property
    def has_begun(self) -> bool:
        """The process was asked to stop; requests that have already arrived may still start turns."""
        return self.is_closing or self._timer is not None

    def begin(self) -> None:
        """Drain after the last requests have arrived; a second call interrupts the running turns at once.

        Returns at once.
        """
        if self.has_begun:
            self.interrupt()
            return
        loop = asyncio.get_running_loop()
        self._drain_until = loop.time() + self._drain_seconds  # counted from the signal, as by whoever sent it
        self._timer = loop.call_later(min(LAST_REQUEST_SECONDS, self._drain_seconds), self.drain)

    def drain(self) -> None:
        """Start no new turns, and interrupt those that still run after `drain_seconds`; a second call interrupts
        them at once.

        Returns at once.
        """
        if self.is_closing:
            self.interrupt()
            return
        self._refuse_turns()
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        seconds = self._drain_seconds
        if self._drain_until is not None:
            seconds = max(0.0, self._drain_until - asyncio.get_running_loop().time())
        await self._local.wait(seconds)
        self.interrupt()

    def interrupt(self) -> None:
        """Start no new turns, stop the running ones as interrupted, and cut the readers of other workers' turns.

        Returns at once; `close` waits for the turns.
        """
        self._refuse_turns()
        self._remote.cut()
        self._local.interrupt()

    def _refuse_turns(self) -> None:
        self.is_closing = True
        self._queue.close()
        self._starts.close()

    async def close(self) -> None:
        """Wait for a drain that has begun, else interrupt at once; then wait until all turns are saved."""
        if self._timer is not None:
            self._timer.cancel()
            if not self.is_closing:  # the HTTP server has closed all connections: nothing arrives any more
                self.drain()
        if self._draining is not None:
            await self._draining
        self.interrupt()
        await self._local.wait(CLOSE_STEPS * self._stop_seconds)
        await self._local.cancel(self._stop_seconds)
