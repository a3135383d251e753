"""The workers that serve one database: each says every few seconds that it lives, and closes what the dead left."""

import asyncio
import contextlib
import logging
import os
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

from chatkit_store import HeartbeatStore, StoreError, TurnRecord, TurnStore, WorkerRecord, new_id

from ..errors.log_format import redacted_traceback
from .periodic import Periodic

logger = logging.getLogger(__name__)

BEATS_UNTIL_DEAD = 2.5
REGULAR = 1.7
"""So many intervals may lie between two beats of a worker that judges the others."""


def this_worker() -> WorkerRecord:
    """This process as a worker, with an id of its own: a process that serves two apps is two workers."""
    return WorkerRecord(new_id("wrk"), _host(), _process(os.getpid()))


def has_died(worker: WorkerRecord) -> bool:
    """Whether the worker is known not to run any more; for one on another machine that cannot be known."""
    if worker.host != _host():
        return False
    try:
        os.kill(int(worker.process.partition(":")[0]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # it is there, and another user's
        pass
    return worker.process != _process(int(worker.process.partition(":")[0]))


def _host() -> str:
    """The machine since its start, and the container: a process number means something there only."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    return platform.node()


def _process(number: int) -> str:
    """The process's number and when it began, where the system tells: numbers are used again.

    One that has ended and whose parent did not ask yet (a zombie) has no beginning any more.
    """
    with contextlib.suppress(OSError, IndexError):
        told = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return f"{number}:{'' if told[0] in 'ZX' else told[19]}"
    return f"{number}:"


class Heartbeat:
    """Keeps this worker's row fresh. `start` and `close` bracket its use.

    `recover` ends a turn that was another worker's; `running` are the ids of the turns that run here; `lose` is told
    of one among them that another worker has closed.
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
        lose: Callable[[str], None],
    ) -> None:
        self.worker = worker
        self._store = store
        self._turns = turns
        self._seconds = seconds
        self._recover = recover
        self._running = running
        self._lose = lose
        self._doubted: frozenset[str] = frozenset()
        self._last_beat: float | None = None
        self._beating = asyncio.Lock()
        self._again = Periodic("heartbeat", seconds, self.beat)

    async def start(self) -> None:
        """Makes this worker known and closes what a crash has left; then goes on by itself. Raises `StoreError`."""
        await self.beat()
        self._again.start()

    async def close(self) -> None:
        """This worker is gone: whatever it could not save is the others' at once."""
        await self._again.close()
        with contextlib.suppress(StoreError):
            await self._store.forget([self.worker.id])

    async def beat(self) -> None:
        """Says that this worker lives, and closes the turns of those that do not. Raises `StoreError`."""
        async with self._beating:
            others = await self._store.beat(self.worker)
            is_silence_known = self._is_regular()
            dead = [known.id for known in others if has_died(known) or (is_silence_known and self._was_silent(known))]
            if dead:
                await self._store.forget(dead)
            for record in await self._turns.adopt(self.worker.id, await self._lost()):
                await self._recover_one(record)

    def _is_regular(self) -> bool:
        """Whether this worker has beaten in time itself. After a pause of the database, or of the machine, all others
        look silent: they get the time until the next beat."""
        now, last = monotonic(), self._last_beat
        self._last_beat = now
        return last is not None and now - last < REGULAR * self._seconds

    def _was_silent(self, other: WorkerRecord) -> bool:
        return other.silence > BEATS_UNTIL_DEAD * self._seconds

    async def _lost(self) -> list[str]:
        """Turns that are ours in the database and that nobody runs, at two looks one after another: one that begins or
        ends at this moment is not among them. Those that run here and are not ours any more are given up."""
        before = self._running()
        ours = await self._turns.running_by(self.worker.id)
        for turn_id in before & self._running() - ours:
            self._lose(turn_id)
        idle = ours - before - self._running()
        lost, self._doubted = idle & self._doubted, idle
        return sorted(lost)

    async def _recover_one(self, record: TurnRecord) -> None:
        try:
            await self._recover(record)
        except Exception as error:  # it is ours now: the next beats try again
            logger.error("turn %s of a dead worker could not be closed\n%s", record.id, redacted_traceback(error))
