"""The turns that this worker runs, and those whose first message it is saving."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import WeakValueDictionary

from chatkit_store import Owner, RequestKey

from ..limits.fair_queue import Slot
from .live_turn import StopReason
from .turn import Turn

logger = logging.getLogger(__name__)


class LocalTurns:
    """Runs each turn in a task of its own, and finds it by its id, its thread or the key of its request."""

    def __init__(self) -> None:
        self._running: dict[str, Turn] = {}
        self._by_thread: dict[tuple[Owner, str], list[Turn]] = {}
        self._by_key: WeakValueDictionary[str, Turn] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._saving: dict[str, asyncio.Future[None]] = {}
        """The turns whose messages are being saved, by their ids; they have no task yet."""
        self._is_interrupted = False

    def get(self, turn_id: str) -> Turn | None:
        """Return a running turn, of any user."""
        return self._running.get(turn_id)

    def of_thread(self, thread_id: str, owner: Owner) -> list[Turn]:
        """Return the turns of the owner's thread that have not ended completely."""
        return list(self._by_thread.get((owner, thread_id), ()))

    def of_key(self, key: RequestKey) -> Turn | None:
        """Return the running turn of the same request, or None; also None if the key has expired."""
        turn = self._by_key.get(key.value)
        if turn is None or turn.log.closed or monotonic() - turn.started > key.seconds:
            return None
        return turn

    def forget_key(self, key: RequestKey) -> None:
        """Let the next request with the key start a turn of its own."""
        self._by_key.pop(key.value, None)

    def saved_ids(self) -> frozenset[str]:
        """Return the ids of the turns that run."""
        return frozenset(self._running)

    def ids(self) -> frozenset[str]:
        """Return the ids of the turns that run, or are just being saved."""
        return frozenset((*self._running, *self._saving))

    def has(self, turn_id: str) -> bool:
        """Return whether a turn runs, or is just being saved."""
        return turn_id in self._running or turn_id in self._saving

    @contextmanager
    def saving(self, turn_id: str) -> Iterator[None]:
        """Have `wait` wait for the block: a message that is being saved gets the drain time for its answer, too."""
        saving = asyncio.get_running_loop().create_future()
        self._saving[turn_id] = saving
        try:
            yield
        finally:
            del self._saving[turn_id]
            saving.set_result(None)

    def run(self, turn: Turn, key: RequestKey | None, slot: Slot) -> None:
        """Start the turn; release its slot at its end."""
        if key is not None:
            self._by_key[key.value] = turn
        self._running[turn.id] = turn
        self._by_thread.setdefault((turn.owner, turn.thread_id), []).append(turn)
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(turn, task, slot))
        if self._is_interrupted:  # the drain time ended while the message was saved
            turn.stop("shutdown")

    def _forget(self, turn: Turn, task: asyncio.Task[None], slot: Slot) -> None:
        del self._running[turn.id]
        of_thread = self._by_thread[turn.owner, turn.thread_id]
        of_thread.remove(turn)
        if not of_thread:
            del self._by_thread[turn.owner, turn.thread_id]
        slot.release()
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("turn %s failed unexpectedly", turn.id, exc_info=error)

    async def stop_thread(self, thread_id: str, owner: Owner, reason: StopReason) -> None:
        """Stop the turn of the owner's thread, and wait until it is saved."""
        for turn in self.of_thread(thread_id, owner):
            turn.stop(reason)
            await turn.ended()

    def interrupt(self) -> None:
        """Stop all turns, and those that start from now on; return at once."""
        self._is_interrupted = True
        for turn in list(self._running.values()):
            turn.stop("shutdown")

    async def wait(self, seconds: float) -> None:
        """Wait until no turn runs or is being saved, for at most that long."""
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        # Again after each wait: a message that was being saved when it began has started its turn since.
        while (unfinished := {*self._tasks, *self._saving.values()}) and (remaining := deadline - now()) > 0:
            await asyncio.wait(unfinished, timeout=remaining)

    async def cancel(self, seconds: float) -> None:
        """Cancel the turns that still run, and wait for their end, for at most that long."""
        for task in set(self._tasks):
            logger.error("turn %s could not be saved before the server stopped", task.get_name())
            task.cancel()
        if self._tasks:  # a driver may wait for its database even when cancelled
            await asyncio.wait(set(self._tasks), timeout=seconds)
