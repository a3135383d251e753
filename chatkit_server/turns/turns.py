"""Start, find and stop turns, on this worker or another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from time import monotonic
from weakref import WeakValueDictionary

from chatkit.store import NotFoundError
from chatkit.types import ThreadItemRemovedEvent

from chatkit_store import (
    AlreadyDecided,
    DuplicateRequest,
    HeartbeatStore,
    JournalStore,
    NewTurn,
    RequestKey,
    SqlStore,
    Starter,
    StoreUnavailable,
    ThreadBusy,
    ThreadChanged,
    TurnRecord,
    TurnStore,
    is_notice_id,
    new_id,
)
from chatkit_store import LimitReached as StoreLimitReached

from ..context import RequestContext
from ..errors.http import LimitReached, ServerError, ServerStopping, ThreadAnswering
from ..limits.fair_queue import FairQueue, Gone, Slot
from ..limits.gate import Gate
from ..loops import Periodic, through_outage
from ..run.server import ChatServer
from ..settings import Settings
from .accept import Accepted
from .claim import Claim
from .heartbeat import Heartbeat, this_worker
from .journal import Journal
from .live_turn import LiveTurn, StopReason
from .output import TurnServices
from .recovery import recover
from .remote import RemoteTurns
from .turn import Turn
from .turn_start import TurnStart

logger = logging.getLogger(__name__)


CLOSE_STEPS = 3
"""How many times `stop_seconds` a shutdown may take: to end the agents, to save, and one more to spare."""
PRUNE_SECONDS = 60.0
"""Pause between two prunings of the journal and of the rows of non-streaming actions."""
MAX_CHANGES = 20
"""How often a request is accepted again because its thread has changed meanwhile."""
CHANGE_SECONDS = 0.01
"""Seconds by which the pause before each repetition grows; the first has none."""
REQUEST_SECONDS = 8.0
"""How long a request waits for the database at most, before it is refused: its client sees nothing until then."""
LOOKED_UP = 3
"""How many requests of a user at a limit are looked up in the database, as they may repeat one that was accepted."""
BEATS_UNTIL_RECOVERED = 4
"""A dead worker's turn is closed within this many heartbeats; one of them is to spare."""

Accept = Callable[[], Awaitable[Accepted]]


class Turns:
    """Run one turn per thread, across all workers.

    A second request stops the running turn, whose partial answer is kept, or is refused, as `settings.on_busy` says.
    """

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
        self._request_seconds = min(settings.outage_seconds, REQUEST_SECONDS)
        self._model = server.models.info.name
        self._journal = Journal(journal, worker.id, settings.journal_ms / 1000, settings.flush_ms / 1000, self.signal)
        self._claim = Claim(settings.heartbeat_seconds, self._check_claim)
        self._services = TurnServices(store, turns, self._journal, settings, self._claim)
        stop_timeout = CLOSE_STEPS * settings.stop_seconds + BEATS_UNTIL_RECOVERED * settings.heartbeat_seconds
        self._remote = RemoteTurns(store, turns, journal, server, stop_timeout)
        self._recover_turn = partial(recover, store=store, turns=turns, journal=journal)
        self._recovering: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._heartbeat = Heartbeat(
            worker,
            heartbeats,
            turns,
            settings.heartbeat_seconds,
            recover=self._recover_orphan,
            running=self.running_ids,
            saved=lambda: frozenset(self._running),
            lose=self.lose,
        )
        self._prune_journal = partial(journal.prune, settings.journal_keep_seconds)
        self._pruning = Periodic("pruning", PRUNE_SECONDS, self._prune)
        self._running: dict[str, Turn] = {}
        self._by_key: WeakValueDictionary[str, Turn] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._queue = FairQueue(settings.running_turns, settings.queue_length, settings.queue_seconds)
        self._gate = Gate(settings, turns)
        self._saving: dict[str, asyncio.Future[None]] = {}
        """The turns whose messages are being saved, by their ids; they have no task yet."""
        self._draining: asyncio.Task[None] | None = None
        self._is_interrupted = False
        self.is_closing = False
        """The process was asked to stop; no new turn starts."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Recover the turns of a crashed worker, then run this worker's loops inside the block; at its end, `close`.

        Raises what the store raises.
        """
        # The journal and the heartbeat end after the turns: a turn whose end cannot be saved is written to the journal,
        # and until then no other worker may recover it.
        async with (
            self._heartbeat.running(),
            self._claim.watching(),
            self._journal.running(self._settings.stop_seconds),
            self._pruning.running(),
        ):
            try:
                yield
            finally:
                await self.close()

    async def _check_claim(self) -> None:
        await self._heartbeat.beat()

    @property
    def worker_id(self) -> str:
        """This worker's id in the database."""
        return self._journal.worker_id

    async def _prune(self) -> None:
        await self._prune_journal()
        await self._store.sync_actions.prune()
        await self._turns.prune_limits()

    # -- starting

    async def start(
        self,
        accept: Accept,
        thread_id: str | None,
        context: RequestContext,
        *,
        key: RequestKey | None = None,
        gone: Gone | None = None,
    ) -> LiveTurn:
        """Accept the request, save its items and start its turn in a task of its own.

        `accept` runs under the thread's lock, so that what it checks still holds when the turn starts; it runs again
        if a running turn had to be stopped first. `thread_id` is None for a thread that does not exist yet. Once this
        returns, the user's message is committed. A request is idempotent by its `key`: if the key was used before, the
        turn of the first request is returned, wherever it runs. While it waits for its turn to be run, it gives up once
        `gone` returns.

        Raises what `accept` raises, `ServerStopping`, `ServerBusy`, `LimitReached`, `ThreadAnswering`, a store's error,
        `ClientDisconnect` because of `gone`, or `DuplicateRequest` if the turn of the same request has ended.
        """
        arrived_at = monotonic()
        if self.is_closing:  # checked first: no running turn must be stopped for a request that is refused
            raise ServerStopping
        if key is not None and (same_turn := self._turn_of_key(key)) is not None:
            if not key.until_read or not await same_turn.is_read_before(arrived_at):
                return same_turn
            await self._turns.release_key(same_turn.id, context)
            self._by_key.pop(key.value, None)
        try:
            await self._gate.check(context)
            with await self._slot(thread_id, context, gone) as slot:
                return await self._start(accept, thread_id, context, key, slot)
        except DuplicateRequest as error:
            return await self._join(error.turn_id, context)
        except (ServerError, NotFoundError, AlreadyDecided) as error:
            # The first request itself may be the reason: it has used the attachments, for example.
            if key is None or (isinstance(error, LimitReached) and error.repeats > LOOKED_UP):
                raise
            if (same_turn_id := await self._turns.find_duplicate(key, context)) is None:
                raise
            return await self._join(same_turn_id, context)

    async def _slot(self, thread_id: str | None, context: RequestContext, gone: Gone | None) -> Slot:
        if thread_id is not None and self._turns_of(thread_id):  # the new turn replaces a running one
            return self._queue.take(context.owner)
        return await self._queue.enter(context.owner, gone)

    async def _start(
        self, accept: Accept, thread_id: str | None, context: RequestContext, key: RequestKey | None, slot: Slot
    ) -> Turn:
        accept = partial(through_outage, accept, self._request_seconds, "a request")
        if thread_id is None:
            return await self._begin(await accept(), context, key, slot)
        async with self._lock(thread_id):
            if key is not None and (same_turn := self._turn_of_key(key)) is not None:  # started while this one waited
                raise DuplicateRequest(same_turn.id)
            accepted = await accept()
            if not self.is_closing and await self._make_room(thread_id, key, context):
                accepted = await accept()
            return await self._begin_among_workers(accepted, accept, context, key, slot)

    async def _begin_among_workers(
        self, accepted: Accepted, accept: Accept, context: RequestContext, key: RequestKey | None, slot: Slot
    ) -> Turn:
        # The thread's lock holds only in this process. Against other workers the database decides, when the turn's row
        # is inserted: then stop their turn, or check the request again against what they changed, and try again.
        changes = 0
        while True:
            try:
                return await self._begin(accepted, context, key, slot)
            except ThreadBusy as busy:
                if self._settings.on_busy == "reject" and not await self._close_if_orphaned(busy.turn_id, context):
                    raise ThreadAnswering from busy
                await self._stop_remote(busy.turn_id, "superseded", context)
            except ThreadChanged as error:
                if changes == MAX_CHANGES:
                    raise StoreUnavailable("The thread changes faster than a turn can start on it.") from error
                await asyncio.sleep(changes * CHANGE_SECONDS)
                changes += 1
            accepted = await accept()

    async def _make_room(self, thread_id: str, key: RequestKey | None, context: RequestContext) -> bool:
        """Stop the thread's turn on this worker; return whether there was one.

        Raises `ThreadAnswering`, or, before anything is stopped, `DuplicateRequest` if the turn of the same request
        has ended, and `LimitReached` if the new one could not start.
        """
        turns = self._turns_of(thread_id)
        if turns and key is not None and (same_turn_id := await self._turns.find_duplicate(key, context)) is not None:
            raise DuplicateRequest(same_turn_id)
        if self._settings.on_busy == "reject" and any(turn.status == "running" for turn in turns):
            raise ThreadAnswering
        if turns:
            await self._check_limits(thread_id, context)
        await self._stop_all(thread_id, "superseded")
        return bool(turns)

    async def _check_limits(self, thread_id: str, context: RequestContext) -> None:
        session_id = None if context.session is None else context.session.id
        starter = Starter(thread_id, session_id=session_id, address_key=context.address_key)
        try:
            await self._turns.check_limits(self._gate.limits_of(context), starter, context)
        except StoreLimitReached as reached:
            raise await self._gate.refusal(reached, context) from None

    async def _begin(self, accepted: Accepted, context: RequestContext, key: RequestKey | None, slot: Slot) -> Turn:
        if self.is_closing:
            raise ServerStopping
        limits = self._gate.limits_of(context)
        new = NewTurn(
            id=new_id("turn"),
            thread_id=accepted.thread.id,
            kind=accepted.kind,
            request_id=context.request_id,
            frame_id=context.frame_id,
            user_item_id=accepted.user_item_id,
            model=accepted.model or self._model,
            worker_id=self.worker_id,
            session_id=None if context.session is None else context.session.id,
            address_key=None if limits.turns_per_minute_of_address is None else context.address_key,
        )
        with self._saving_message(new.id):
            save = TurnStart(self._turns, new, accepted, key, context, limits)
            try:
                gone_ids = await through_outage(save, self._request_seconds, "a request")
            except StoreLimitReached as reached:
                raise await self._gate.refusal(reached, context) from None
            # The widget knows what a retry replaces, but not that a notice goes.
            shown_ids = gone_ids if accepted.sends_replaced else filter(is_notice_id, gone_ids)
            accepted.opening += [ThreadItemRemovedEvent(item_id=item_id) for item_id in shown_ids]
            turn = Turn(new.id, accepted, context, self._services)
            if key is not None:
                self._by_key[key.value] = turn
            self._run(turn, slot.keep())
        return turn

    @contextmanager
    def _saving_message(self, turn_id: str) -> Iterator[None]:
        """Have a drain wait for the block: a message that is being saved gets the drain time for its answer, too."""
        saving = asyncio.get_running_loop().create_future()
        self._saving[turn_id] = saving
        try:
            yield
        finally:
            del self._saving[turn_id]
            saving.set_result(None)

    def _run(self, turn: Turn, slot: Slot) -> None:
        self._running[turn.id] = turn
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(turn, task, slot))
        if self._is_interrupted:  # the drain time ended while the message was saved
            turn.stop("shutdown")

    def _forget(self, turn: Turn, task: asyncio.Task[None], slot: Slot) -> None:
        self._running.pop(turn.id, None)
        slot.release()
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("turn %s failed unexpectedly", turn.id, exc_info=error)

    def _turn_of_key(self, key: RequestKey) -> Turn | None:
        """Return the running turn of the same request on this worker, or None; also None if the key has expired."""
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
        """Return the user's running turn with that id, or None."""
        turn = self._running.get(turn_id)
        if turn is not None and turn.owner == context.owner:
            return turn
        try:  # also for another user's turn: without this statement it would differ from one that does not exist
            record = await self._turns.load(turn_id, context)
        except NotFoundError:
            return None
        return await self._remote.open(record, context) if record.status == "running" else None

    async def running_on(self, thread_id: str, context: RequestContext) -> LiveTurn | None:
        """Return the running turn of the user's thread, or None."""
        for turn in self._turns_of(thread_id):
            if not turn.log.closed and turn.owner == context.owner:
                return turn
        record = await self._turns.running_on(thread_id, context)
        if record is None or record.id in self._running:  # a turn of this worker that is just ending
            return None
        return await self._remote.open(record, context)

    def running_ids(self) -> frozenset[str]:
        """Return the ids of the turns that run on this worker, or are just being saved."""
        return frozenset((*self._running, *self._saving))

    # -- stopping

    async def stop(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Stop a turn, wherever it runs, and return its row once the partial answer is saved.

        Raises `NotFoundError` for another user's turn, `Conflict` if its worker does not react.
        """
        turn = self._running.get(turn_id)
        if turn is not None and turn.owner == context.owner:
            turn.stop(reason)
            await turn.ended()
        record = await self._turns.load(turn_id, context)
        if record.status != "running" or turn is not None:
            return record
        return await self._stop_remote(turn_id, reason, context)

    async def stop_thread(self, thread_id: str, reason: StopReason, context: RequestContext) -> TurnRecord | None:
        """Stop the thread's running turn as `stop` does; return None if there is none."""
        for turn in self._turns_of(thread_id):
            if turn.owner == context.owner and not turn.log.closed:
                return await self.stop(turn.id, reason, context)
        record = await self._turns.running_on(thread_id, context)
        return None if record is None else await self.stop(record.id, reason, context)

    @asynccontextmanager
    async def alone(self, thread_id: str, reason: StopReason, context: RequestContext) -> AsyncIterator[None]:
        """Stop the thread's turn, wait until it is saved, and start no other turn on this worker inside the block."""
        async with self._lock(thread_id):
            await self._stop_all(thread_id, reason)
            if (record := await self._turns.running_on(thread_id, context)) is not None:
                await self._stop_remote(record.id, reason, context)
            yield

    def signal(self, turn_id: str, reason: str | None) -> None:
        """Handle another worker's signal: stop the turn for `reason`, or, if None, let it run without readers here."""
        turn = self._running.get(turn_id)
        if turn is None:
            return
        if reason is None:
            turn.is_read_remotely = True
            turn.detach()
        else:
            turn.stop(reason if reason in ("superseded", "deleted") else "user")  # type: ignore[arg-type]  # checked

    def lose(self, turn_id: str) -> None:
        """Stop a turn whose row another worker has closed."""
        turn = self._running.get(turn_id)
        if turn is not None and turn.status == "running":  # else it has just ended
            logger.error("turn %s was closed by another worker, which considered this one dead", turn_id)
            turn.stop("lost")

    async def _stop_remote(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Stop a turn that does not run on this worker."""
        if await self._close_if_orphaned(turn_id, context):
            return await self._turns.load(turn_id, context)
        return await self._remote.stop(turn_id, reason, context)

    async def _close_if_orphaned(self, turn_id: str, context: RequestContext) -> bool:
        """Close a turn that no worker runs; return whether the turn, which does not run on this worker, has ended."""
        record = await self._turns.load(turn_id, context)
        if record.status == "running" and record.worker_id == self.worker_id:
            await self._recover_orphan(record)  # it ran here, but its end could not be saved
        elif record.status == "running":
            await self._heartbeat.beat()
        return (await self._turns.load(turn_id, context)).status != "running"

    async def _recover_orphan(self, record: TurnRecord) -> None:
        """Close a turn that belongs to this worker but does not run. Raises `StoreUnavailable`."""
        if record.id in self.running_ids():
            return
        async with self._recovering.setdefault(record.id, asyncio.Lock()):
            if self._journal.has_page(record.id):  # its last events are not written yet
                await self._journal.write()
            await self._recover_turn(record)

    def _lock(self, thread_id: str) -> asyncio.Lock:
        return self._locks.setdefault(thread_id, asyncio.Lock())

    def _turns_of(self, thread_id: str) -> list[Turn]:
        return [turn for turn in self._running.values() if turn.thread_id == thread_id]

    async def _stop_all(self, thread_id: str, reason: StopReason) -> None:
        for turn in self._turns_of(thread_id):
            turn.stop(reason)
            await turn.ended()

    # -- shutdown

    def drain(self) -> None:
        """Start no new turns, and interrupt those that still run after `drain_seconds`; a second call interrupts
        them at once.

        Returns at once.
        """
        if self.is_closing:
            self.interrupt()
            return
        self.is_closing = True
        self._queue.close()
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + self._settings.drain_seconds
        # Again after each wait: a message that was being saved when the drain began has started its turn since.
        while (unfinished := {*self._tasks, *self._saving.values()}) and (remaining := deadline - now()) > 0:
            await asyncio.wait(unfinished, timeout=remaining)
        self.interrupt()

    def interrupt(self) -> None:
        """Start no new turns, stop the running ones as interrupted, and cut the readers of other workers' turns.

        Returns at once; `close` waits for the turns.
        """
        self.is_closing = self._is_interrupted = True
        self._queue.close()
        self._remote.cut()
        for turn in list(self._running.values()):
            turn.stop("shutdown")

    async def close(self) -> None:
        """Wait for a drain that has begun, else interrupt at once; then wait until all turns are saved."""
        if self._draining is not None:
            await self._draining
        self.interrupt()
        deadline = asyncio.get_running_loop().time() + CLOSE_STEPS * self._settings.stop_seconds
        while self._tasks and (remaining := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._tasks), timeout=remaining)
        for task in set(self._tasks):
            logger.error("turn %s could not be saved before the server stopped", task.get_name())
            task.cancel()
        if self._tasks:  # a driver may wait for its database even when cancelled
            await asyncio.wait(set(self._tasks), timeout=self._settings.stop_seconds)
