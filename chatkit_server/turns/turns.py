"""The running turns of a thread, here and at other workers: starting one, finding one, stopping one, ending all."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from weakref import WeakValueDictionary

from chatkit.store import NotFoundError

from chatkit_store import (
    AlreadyDecided,
    DuplicateRequest,
    HeartbeatStore,
    JournalStore,
    NewTurn,
    RequestKey,
    SqlStore,
    StoreUnavailable,
    ThreadBusy,
    ThreadChanged,
    TurnRecord,
    TurnStore,
    new_id,
)

from ..context import RequestContext
from ..errors.http import ServerError, ServerStopping, ThreadAnswering
from ..run.server import ChatServer
from ..settings import Settings
from .accept import Accepted
from .heartbeat import Heartbeat, this_worker
from .journal import Journal
from .live_turn import LiveTurn, StopReason
from .periodic import Periodic
from .recovery import recover
from .remote import Elsewhere
from .turn import Turn

logger = logging.getLogger(__name__)


CLOSE_STEPS = 3
"""How many `stop_seconds` the end of the server may take: the work's end, its saving, and as much again."""
PRUNE_SECONDS = 60.0
MAX_CHANGES = 20
CHANGE_SECONDS = 0.01
"""How often a request is looked at again where its thread has changed meanwhile, after longer and longer pauses."""
BEATS_OF_PATIENCE = 4
"""How many heartbeats it takes at most until a dead worker's turn is closed, and one more."""

Accept = Callable[[], Awaitable[Accepted]]


class Turns:
    """One turn runs per thread, over all workers (T16). A second request stops the first, whose partial answer is
    kept, or is refused, as the settings say."""

    def __init__(
        self,
        store: SqlStore[RequestContext],
        turns: TurnStore,
        journal: JournalStore,
        heartbeats: HeartbeatStore,
        server: ChatServer,
        settings: Settings,
    ) -> None:
        worker = this_worker()
        self._store = store
        self._turns = turns
        self._settings = settings
        self._model = server.models.info.name
        self._journal = Journal(journal, worker.id, settings.journal_ms / 1000, settings.flush_ms / 1000, self.signal)
        patience = CLOSE_STEPS * settings.stop_seconds + BEATS_OF_PATIENCE * settings.heartbeat_seconds
        self._elsewhere = Elsewhere(store, turns, journal, server, patience)
        self._close_row = partial(recover, store=store, turns=turns, journal=journal)
        self._closing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._heartbeat = Heartbeat(
            worker,
            heartbeats,
            turns,
            settings.heartbeat_seconds,
            recover=self._recover,
            running=self.running_ids,
            lose=self.lose,
        )
        self._prune_journal = partial(journal.prune, settings.journal_keep_seconds)
        self._pruning = Periodic("pruning", PRUNE_SECONDS, self._prune)
        self._running: dict[str, Turn] = {}
        self._by_key: WeakValueDictionary[str, Turn] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._draining: asyncio.Task[None] | None = None
        self.is_closing = False
        """Takes no new turns: the process was asked to stop."""

    async def open(self) -> None:
        """Closes what a crash has left, and begins to work. Raises what the store raises."""
        await self._heartbeat.start()
        self._journal.start()
        self._pruning.start()

    @property
    def worker_id(self) -> str:
        """Who works here, as the database knows it."""
        return self._journal.worker_id

    async def _prune(self) -> None:
        await self._prune_journal()
        await self._store.sync_actions.prune()

    # -- starting

    async def start(
        self, accept: Accept, thread_id: str | None, context: RequestContext, *, key: RequestKey | None = None
    ) -> LiveTurn:
        """Has the request accepted, saves what it brought and starts the turn in a task of its own.

        `accept` runs under the thread's lock, so that what it checked still holds when the turn starts; once more where
        a running turn had to be stopped first. `thread_id` is None for a thread that does not exist yet. When this
        returns, the user's message is committed. A request whose `key` was used before starts nothing: its turn is
        returned, wherever it runs.

        Raises what `accept` raises, `ServerStopping`, `ThreadAnswering`, a store's error, or `DuplicateRequest` where
        the turn of the same request has ended.
        """
        if self.is_closing:  # before a running turn is stopped for one that is refused
            raise ServerStopping
        if key is not None and (twin := self._twin(key)) is not None:
            return twin
        try:
            return await self._start(accept, thread_id, context, key)
        except DuplicateRequest as error:
            return await self._join(error.turn_id, context)
        except (ServerError, NotFoundError, AlreadyDecided):
            # What the first one changed may be why this one is refused: its attachments are bound by now.
            if key is None or (twin_id := await self._turns.find_duplicate(key, context)) is None:
                raise
            return await self._join(twin_id, context)

    async def _start(
        self, accept: Accept, thread_id: str | None, context: RequestContext, key: RequestKey | None
    ) -> Turn:
        if thread_id is None:
            return await self._begin(await accept(), context, key)
        async with self._lock(thread_id):
            if key is not None and (twin := self._twin(key)) is not None:  # it came while this one waited
                raise DuplicateRequest(twin.id)
            accepted = await accept()
            if not self.is_closing and await self._make_room(thread_id, key, context):
                accepted = await accept()
            changes = 0
            while True:
                try:
                    return await self._begin(accepted, context, key)
                except ThreadBusy as busy:  # another worker's
                    if self._settings.on_busy == "reject" and not await self._has_ended(busy.turn_id, context):
                        raise ThreadAnswering from busy
                    await self._stop_elsewhere(busy.turn_id, "superseded", context)
                except ThreadChanged as error:  # by another worker: what was accepted may be wrong by now
                    if changes == MAX_CHANGES:
                        raise StoreUnavailable("The thread changes faster than a turn can start on it.") from error
                    await asyncio.sleep(changes * CHANGE_SECONDS)
                    changes += 1
                accepted = await accept()

    async def _make_room(self, thread_id: str, key: RequestKey | None, context: RequestContext) -> bool:
        """Ends what runs here on the thread; says whether anything did. Raises `ThreadAnswering`, or `DuplicateRequest`
        where the turn of the same request has ended: nothing is stopped for that."""
        turns = self._turns_of(thread_id)
        if turns and key is not None and (twin_id := await self._turns.find_duplicate(key, context)) is not None:
            raise DuplicateRequest(twin_id)
        if self._settings.on_busy == "reject" and any(turn.status == "running" for turn in turns):
            raise ThreadAnswering
        await self._stop_all(thread_id, "superseded")
        return bool(turns)

    async def _begin(self, accepted: Accepted, context: RequestContext, key: RequestKey | None) -> Turn:
        if self.is_closing:
            raise ServerStopping
        new = NewTurn(
            id=new_id("turn"),
            thread_id=accepted.thread.id,
            kind=accepted.kind,
            request_id=context.request_id,
            frame_id=context.frame_id,
            user_item_id=accepted.user_item_id,
            model=accepted.model or self._model,
            worker_id=self.worker_id,
        )
        await self._turns.start(
            new,
            context,
            new_thread=accepted.thread if accepted.is_new_thread else None,
            items=accepted.items,
            replace_after=accepted.replace_after,
            choice=accepted.choice,
            key=key,
            seen_position=accepted.seen_position,
        )
        turn = Turn(new.id, accepted, context, self._store, self._turns, self._settings, self._journal)
        if key is not None:
            self._by_key[key.value] = turn
        self._run(turn)
        return turn

    def _run(self, turn: Turn) -> None:
        self._running[turn.id] = turn
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(turn, task))
        if self.is_closing:  # the process was asked to stop while the message was saved
            turn.stop("shutdown")

    def _forget(self, turn: Turn, task: asyncio.Task[None]) -> None:
        self._running.pop(turn.id, None)
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("request %s: turn %s broke", turn.context.request_id, turn.id, exc_info=error)

    def _twin(self, key: RequestKey) -> Turn | None:
        """The turn of the same request, if it runs here and is not too old to be the same."""
        turn = self._by_key.get(key.value)
        if turn is None or turn.log.closed or monotonic() - turn.started > key.seconds:
            return None
        return turn

    async def _join(self, turn_id: str, context: RequestContext) -> LiveTurn:
        if (turn := await self.find(turn_id, context)) is None:
            raise DuplicateRequest(turn_id)
        return turn

    # -- finding

    async def find(self, turn_id: str, context: RequestContext) -> LiveTurn | None:
        """The running turn of this user with that id, None where there is none."""
        if (turn := self._running.get(turn_id)) is not None:
            return turn if turn.user_id == context.user_id else None
        try:
            record = await self._turns.load(turn_id, context)
        except NotFoundError:
            return None
        return await self._elsewhere.open(record, context) if record.status == "running" else None

    async def running_on(self, thread_id: str, context: RequestContext) -> LiveTurn | None:
        """The running turn of this user's thread, None where there is none."""
        for turn in self._turns_of(thread_id):
            if not turn.log.closed:
                return turn if turn.user_id == context.user_id else None
        record = await self._turns.running_on(thread_id, context)
        if record is None or record.id in self._running:  # one of ours that ends at this moment
            return None
        return await self._elsewhere.open(record, context)

    def running_ids(self) -> frozenset[str]:
        """The turns that run here."""
        return frozenset(self._running)

    # -- stopping

    async def stop(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Ends a turn, wherever it runs, and returns its row when the partial answer is saved.

        Raises `NotFoundError` for a turn of somebody else's, `Conflict` where its worker does not react.
        """
        turn = self._running.get(turn_id)
        if turn is not None and turn.user_id == context.user_id:
            turn.stop(reason)
            await turn.ended()
        record = await self._turns.load(turn_id, context)
        if record.status != "running" or turn is not None:
            return record
        return await self._stop_elsewhere(turn_id, reason, context)

    async def stop_thread(self, thread_id: str, reason: StopReason, context: RequestContext) -> TurnRecord | None:
        """As `stop`, for what runs on the thread; None where nothing does."""
        for turn in self._turns_of(thread_id):
            if turn.user_id == context.user_id and not turn.log.closed:
                return await self.stop(turn.id, reason, context)
        record = await self._turns.running_on(thread_id, context)
        return None if record is None else await self.stop(record.id, reason, context)

    @asynccontextmanager
    async def alone(self, thread_id: str, reason: StopReason, context: RequestContext) -> AsyncIterator[None]:
        """Stops what runs on the thread, waits until it is saved, and lets no other turn start here inside."""
        async with self._lock(thread_id):
            await self._stop_all(thread_id, reason)
            if (record := await self._turns.running_on(thread_id, context)) is not None:
                await self._stop_elsewhere(record.id, reason, context)
            yield

    def signal(self, turn_id: str, reason: str | None) -> None:
        """Another worker wants this of a turn: that it stops, or, with None, that it goes on without readers here."""
        turn = self._running.get(turn_id)
        if turn is None:
            return
        if reason is None:
            turn.is_read_elsewhere = True
            turn.detach()
        else:
            turn.stop(reason if reason in ("superseded", "deleted") else "user")  # type: ignore[arg-type]  # it is one

    def lose(self, turn_id: str) -> None:
        """Another worker has closed the turn."""
        turn = self._running.get(turn_id)
        if turn is not None and turn.status == "running":  # else it has ended a moment ago
            logger.error("turn %s was closed by another worker, which took this one for dead", turn_id)
            turn.stop("lost")

    async def _stop_elsewhere(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Ends a turn that does not run here."""
        if await self._has_ended(turn_id, context):
            return await self._turns.load(turn_id, context)
        return await self._elsewhere.stop(turn_id, reason, context)

    async def _has_ended(self, turn_id: str, context: RequestContext) -> bool:
        """Whether a turn that does not run here has ended after all: closed now, where nobody runs it any more."""
        record = await self._turns.load(turn_id, context)
        if record.status == "running" and record.worker_id == self.worker_id:
            await self._recover(record)  # it was ours, and its end could not be saved
        elif record.status == "running":
            await self._heartbeat.beat()
        return (await self._turns.load(turn_id, context)).status != "running"

    async def _recover(self, record: TurnRecord) -> None:
        """Closes a turn of this worker's that nobody runs. Raises `StoreUnavailable`."""
        if record.id in self._running:
            return
        async with self._closing.setdefault(record.id, asyncio.Lock()):
            if self._journal.has_page(record.id):  # its last words wait there
                await self._journal.write()
            await self._close_row(record)

    def _lock(self, thread_id: str) -> asyncio.Lock:
        return self._locks.setdefault(thread_id, asyncio.Lock())

    def _turns_of(self, thread_id: str) -> list[Turn]:
        return [turn for turn in self._running.values() if turn.thread_id == thread_id]

    async def _stop_all(self, thread_id: str, reason: StopReason) -> None:
        for turn in self._turns_of(thread_id):
            turn.stop(reason)
            await turn.ended()

    # -- the server's end

    def drain(self) -> None:
        """Takes no new turns, and interrupts those that still run in CHATKIT_DRAIN_SECONDS; a second call does so now.

        Returns at once.
        """
        if self.is_closing:
            self.interrupt()
            return
        self.is_closing = True
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._settings.drain_seconds)
        self.interrupt()

    def interrupt(self) -> None:
        """Takes no new turns and stops the running ones as interrupted; readers of other workers' turns are cut off.

        Returns at once; `close` waits for the turns.
        """
        self.is_closing = True
        self._elsewhere.cut()
        for turn in list(self._running.values()):
            turn.stop("shutdown")

    async def close(self) -> None:
        """Waits for a drain that has begun, else interrupts at once; then waits until all turns are saved."""
        if self._draining is not None:
            await self._draining
        self.interrupt()
        deadline = asyncio.get_running_loop().time() + CLOSE_STEPS * self._settings.stop_seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        for task in set(self._tasks):
            logger.error("turn %s could not be saved before the server stopped", task.get_name())
            task.cancel()
        if self._tasks:  # a driver may wait for its database even then
            await asyncio.wait(set(self._tasks), timeout=self._settings.stop_seconds)
        await self._pruning.close()
        await self._journal.close(self._settings.stop_seconds)
        await self._heartbeat.close()
