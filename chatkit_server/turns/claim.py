"""Notice that this process was stopped for so long that other workers may have closed its turns.

A process stops on SIGSTOP, on a machine that swaps or was suspended, and for its clients also while a tool blocks the
event loop. When it continues, it must not send more of an answer that another worker has already saved and closed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from chatkit_store import StoreError

from ..loops import FIRST_PAUSE, LONGEST_PAUSE, background, backoff

TICKS = 4
"""How often per `limit` the process notes that it is awake."""
BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # `time.monotonic` stops with a suspended machine


class Claim:
    """This worker's claim to its turns. `check` finds out which turns other workers have closed, and loses those."""

    def __init__(self, limit: float, check: Callable[[], Awaitable[None]]) -> None:
        """`limit`: after a pause of this many seconds the claim is doubtful."""
        self._limit = limit
        self._check = check
        self._awake_at = _now()
        self._is_doubtful = False
        self._checking = asyncio.Lock()

    def is_certain(self) -> bool:
        """Return whether the worker may send; else `confirm` first. Called for each frame."""
        if _now() - self._awake_at > self._limit:  # here too: after a pause, sockets are served before timers
            self._is_doubtful = True
        return not self._is_doubtful

    async def confirm(self) -> None:
        """Return once the claim is checked, however long the database is away."""
        async with self._checking:
            pauses = backoff(FIRST_PAUSE, LONGEST_PAUSE)
            while not self.is_certain():
                self._awake_at = _now()
                try:
                    await self._check()
                except StoreError:
                    await asyncio.sleep(next(pauses))
                else:  # only now: until then, no other reader may send either
                    self._is_doubtful = _now() - self._awake_at > self._limit

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Note inside the block that the process is awake."""
        self._awake_at = _now()
        async with background("claim", self._tick):
            yield

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._limit / TICKS)
            if self.is_certain():
                self._awake_at = _now()
            else:
                await self.confirm()


_now: Callable[[], float] = time.monotonic if BOOT_CLOCK is None else partial(time.clock_gettime, BOOT_CLOCK)
