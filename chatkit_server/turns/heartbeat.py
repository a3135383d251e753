"""The workers of one database: each updates its row every few seconds, and recovers the turns of dead workers."""

import asyncio
import contextlib
import logging
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from chatkit_store import HeartbeatStore, StoreError, TurnRecord, TurnStore, WorkerRecord, new_id

from ..errors.log_format import redacted_traceback
from ..loops import Periodic

logger = logging.getLogger(__name__)

BEATS_UNTIL_DEAD = 2.5
"""A worker is considered dead after a silence of this many intervals."""
REGULAR_BEATS = 1.7
"""A worker may judge the others only if its own last two beats were at most this many intervals apart."""


def this_worker() -> WorkerRecord:
    """Return a new worker in this process; a process that serves two apps is two workers."""
    return WorkerRecord(new_id("wrk"), _host(), _process(os.getpid()))


def has_died(worker: WorkerRecord) -> bool:
    """Return whether the worker's process has surely ended; False for a worker on another machine."""
    if worker.host != _host():
        return False
    try:
        number = int(worker.process.partition(":")[0])
        os.kill(number, 0)
    except (ValueError, OverflowError):  # not written by this version: its silence decides
        return False
    except ProcessLookupError:
        return True
    except OSError:  # it exists, but belongs to another user
        pass
    return worker.process != _process(number)


def _host() -> str:
    """Identify the machine, its boot and the container: a process number is meaningful only there."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    return platform.node()


def _process(number: int) -> str:
    """Return the process's number and, if the system tells, its start time, since numbers are reused.

    A zombie (ended, but not yet reaped by its parent) gets no start time.
    """
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return f"{number}:{'' if fields[0] in 'ZX' else fields[19]}"
    return f"{number}:"


class Heartbeat:
    """Keep this worker's row fresh, and recover the turns of dead workers.

    `recover` closes a turn that was adopted. `running` returns the ids of the turns that run on this worker or are just
    being saved, `saved` only those that have a row. `lose` is called with the id of one that another worker has closed.
    """

    def __init__(
        self,
        worker: WorkerRecord,
        store: HeartbeatStore,
        turns: TurnStore,
        seconds: float,
        *,
        recover: Callable[[TurnRecord], Awaitable[None]],
        running: Callable[[], frozenset[str]],
        saved: Callable[[], frozenset[str]],
        lose: Callable[[str], None],
    ) -> None:
        self.worker = worker
        self._store = store
        self._turns = turns
        self._seconds = seconds
        self._recover = recover
        self._running = running
        self._saved = saved
        self._lose = lose
        self._idle: frozenset[str] = frozenset()
        self._last_beat: float | None = None
        self._beating = asyncio.Lock()
        self._loop = Periodic("heartbeat", seconds, self.beat)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Beat once, which recovers the turns of a crashed worker, then regularly inside the block.

        At its end, delete this worker's row: other workers may then recover at once what it could not save.
        Raises `StoreError` if the first beat fails.
        """
        try:
            await self.beat()
            async with self._loop.running():
                yield
        finally:
            with contextlib.suppress(StoreError):
                await self._store.forget([self.worker.id])

    async def beat(self) -> None:
        """Update this worker's row, and recover the turns of dead workers. Raises `StoreError`."""
        async with self._beating:
            others = await self._store.beat(self.worker)
            is_regular = self._is_regular()
            dead = [other.id for other in others if has_died(other) or (is_regular and self._is_silent(other))]
            if dead:
                await self._store.forget(dead)
            for record in await self._turns.adopt(self.worker.id, await self._orphaned_turns()):
                await self._try_to_recover(record)

    def _is_regular(self) -> bool:
        """Return whether this worker itself beats in time.

        After a pause of the database or the machine all others look silent; they get the time until the next beat.
        """
        now, last = monotonic(), self._last_beat
        self._last_beat = now
        return last is not None and now - last < REGULAR_BEATS * self._seconds

    def _is_silent(self, other: WorkerRecord) -> bool:
        return other.silence > BEATS_UNTIL_DEAD * self._seconds

    async def _orphaned_turns(self) -> list[str]:
        """Return the turns that this worker has in the database but does not run, and `lose` those that it runs but no
        longer has.

        Only those that two beats in a row have seen are returned: others may just be starting or ending.
        """
        before, saved_before = self._running(), self._saved()
        owned = await self._turns.running_by(self.worker.id)
        # A missing row proves a loss only if it was there before the query: on a busy event loop, a transaction may
        # save a new turn between the query and the arrival of its result.
        for turn_id in saved_before & self._running() - owned:
            self._lose(turn_id)
        idle = owned - before - self._running()
        orphaned, self._idle = idle & self._idle, idle
        return sorted(orphaned)

    async def _try_to_recover(self, record: TurnRecord) -> None:
        try:
            await self._recover(record)
        except Exception as error:  # it belongs to this worker now: the next beats try again
            logger.error(
                "turn %s could not be recovered; the next heartbeat tries again\n%s",
                record.id,
                redacted_traceback(error),
            )
