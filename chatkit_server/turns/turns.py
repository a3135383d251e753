"""Start, find and stop turns, on this worker or another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import NamedTuple
from weakref import WeakValueDictionary

from chatkit.store import NotFoundError

from chatkit_store import (
    AlreadyDecided,
    DuplicateRequest,
    HeartbeatStore,
    JournalStore,
    Listener,
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
from ..errors.http import LimitReached, ServerBusy, ServerError, ServerStopping, ThreadAnswering
from ..limits.fair_queue import FairQueue, Gone, Slot
from ..limits.gate import Gate
from ..limits.starts import Place, Starts
from ..loops import Periodic, through_outage
from ..run.server import ChatServer
from ..settings import Settings
from .accept import Accepted, accept_unanswered
from .claim import Claim
from .heartbeat import Heartbeat, this_worker
from .journal import Journal
from .live_turn import LiveTurn, StopReason
from .local_turns import LocalTurns
from .output import TurnServices
from .recovery import recover
from .remote import RemoteTurns
from .shutdown import CLOSE_STEPS, Shutdown
from .turn import Turn
from .turn_changes import TurnChanges
from .turn_start import TurnStart

logger = logging.getLogger(__name__)


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


class Admission(NamedTuple):
    """What a new turn holds: a slot until it has ended, and a place until it is set up."""

    slot: Slot
    place: Place


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
        listener: Listener,
        server: ChatServer,
        settings: Settings,
    ) -> None:
        worker = this_worker()
        self._store = store
        self._turns = turns
        self._settings = settings
        self._request_seconds = min(settings.outage_seconds, REQUEST_SECONDS)
        self._model = server.models.info.name
        self._journal = Journal(journal, worker.id, settings.journal_ms / 1000, self.signal)
        self._claim = Claim(settings.heartbeat_seconds, self._check_claim)
        self._services = TurnServices(store, turns, self._journal, settings, self._claim)
        stop_timeout = CLOSE_STEPS * settings.stop_seconds + BEATS_UNTIL_RECOVERED * settings.heartbeat_seconds
        self._changes = TurnChanges(listener, self._signalled)
        self._journal.listen(lambda: self._changes.is_listening)
        self._remote = RemoteTurns(store, turns, journal, server, self._changes, stop_timeout)
        self._local = LocalTurns()
        self._recover_turn = partial(recover, store=store, turns=turns, journal=journal)
        self._recovering: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._heartbeat = Heartbeat(
            worker,
            heartbeats,
            turns,
            settings.heartbeat_seconds,
            recover=self._recover_orphan,
            running=self._local.ids,
            saved=self._local.saved_ids,
            lose=self.lose,
        )
        self._prune_journal = partial(journal.prune, settings.journal_keep_seconds)
        self._pruning = Periodic("pruning", PRUNE_SECONDS, self._prune)
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        self._queue = FairQueue(settings.running_turns, settings.queue_length, settings.queue_seconds)
        self._starts = Starts()
        self._gate = Gate(settings, turns)
        self.shutdown = Shutdown(settings, self._queue, self._starts, self._local, self._remote)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Recover the turns of a crashed worker, then run this worker's loops inside the block; at its end, shut down.

        Raises what the store raises.
        """
        # The journal and the heartbeat end after the turns: a turn whose end cannot be saved is written to the journal,
        # and until then no other worker may recover it.
        async with (
            self._heartbeat.running(),
            self._claim.watching(),
            self._journal.running(self._settings.stop_seconds),
            self._changes.running(),
            self._pruning.running(),
        ):
            try:
                yield
            finally:
                await self.shutdown.close()

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
        begins: bool = True,
    ) -> LiveTurn:
        """Accept the request, save its items and start its turn in a task of its own.

        `accept` runs under the thread's lock, so that what it checks still holds when the turn starts; it runs again
        if a running turn had to be stopped first. `thread_id` is None for a thread that does not exist yet. Once this
        returns, the user's message is committed. A request is idempotent by its `key`: if the key was used before, the
        turn of the first request is returned, wherever it runs. While it waits for its turn to be run, it gives up once
        `gone` returns. With `begins`, the log has the turn's first events; else the caller sees to `LiveTurn.begin`.

        Raises what `accept` raises, `ServerStopping`, `ServerBusy`, `LimitReached`, `ThreadAnswering`, a store's error,
        `ClientDisconnect` because of `gone`, or `DuplicateRequest` if the turn of the same request has ended.
        """
        arrived_at = monotonic()
        if self.shutdown.is_closing:  # checked first: no running turn must be stopped for a request that is refused
            raise ServerStopping
        if key is not None and (same_turn := self._local.of_key(key)) is not None:
            if not key.until_read or not await same_turn.is_read_before(arrived_at):
                return same_turn
            await self._turns.release_key(same_turn.id, context)
            self._local.forget_key(key)
        try:
            await self._gate.check(context, thread_id)
            turn = await self._admit(accept, thread_id, context, key, gone)
            if begins:
                turn.begin()
            return turn
        except DuplicateRequest as error:
            return await self._join(error.turn_id, context)
        except (ServerError, NotFoundError, AlreadyDecided) as error:
            # The first request itself may be the reason: it has used the attachments, for example.
            if key is None or (isinstance(error, LimitReached) and error.repeats > LOOKED_UP):
                raise
            if (same_turn_id := await self._turns.find_duplicate(key, context)) is None:
                raise
            return await self._join(same_turn_id, context)

    async def _admit(
        self, accept: Accept, thread_id: str | None, context: RequestContext, key: RequestKey | None, gone: Gone | None
    ) -> Turn:
        slot = self._queue.promise(context.owner)
        # A turn on a thread of the user is replaced. One of another user must look like one that does not exist.
        if thread_id is None or not self._local.of_thread(thread_id, context.owner):
            try:
                slot = await self._queue.enter(context.owner, gone)
            except ServerBusy as busy:
                if not busy.has_waited or context.frame_id is None:
                    raise
                # After any error without its message, a ChatKit frame has lost what the user typed.
                accept = partial(accept_unanswered, accept, busy)
        try:
            with slot, await self._starts.enter(context.owner) as place:
                return await self._start(accept, thread_id, context, key, Admission(slot, place))
        except StoreLimitReached as reached:  # with the slot and all locks released: the refusal may take its time
            raise await self._gate.refusal(reached, context, thread_id) from None

    async def _start(
        self,
        accept: Accept,
        thread_id: str | None,
        context: RequestContext,
        key: RequestKey | None,
        admission: Admission,
    ) -> Turn:
        accept = partial(through_outage, accept, self._request_seconds, "a request")
        if thread_id is None:
            return await self._begin(await accept(), context, key, admission)
        async with self._lock(thread_id, context):
            if key is not None and (same_turn := self._local.of_key(key)) is not None:  # started while this one waited
                raise DuplicateRequest(same_turn.id)
            accepted = await accept()
            if not self.shutdown.is_closing and await self._make_room(thread_id, key, context, admission.slot):
                accepted = await accept()
            return await self._begin_among_workers(accepted, accept, context, key, admission)

    async def _begin_among_workers(
        self, accepted: Accepted, accept: Accept, context: RequestContext, key: RequestKey | None, admission: Admission
    ) -> Turn:
        # The thread's lock holds only in this process. Against other workers the database decides, when the turn's row
        # is inserted: then stop their turn, or check the request again against what they changed, and try again.
        changes = 0
        while True:
            try:
                return await self._begin(accepted, context, key, admission)
            except ThreadBusy as busy:
                if self._settings.on_busy == "reject" and not await self._close_if_orphaned(busy.turn_id, context):
                    raise ThreadAnswering from busy
                await accept()  # refused before the turn is stopped for it, as one of this worker
                await self._stop_remote(busy.turn_id, "superseded", context)
            except ThreadChanged as error:
                if changes == MAX_CHANGES:
                    raise StoreUnavailable("The thread changes faster than a turn can start on it.") from error
                await asyncio.sleep(changes * CHANGE_SECONDS)
                changes += 1
            accepted = await accept()

    async def _make_room(self, thread_id: str, key: RequestKey | None, context: RequestContext, slot: Slot) -> bool:
        """Stop the thread's turn on this worker; return whether there was one.

        Raises `ThreadAnswering`, or, before anything is stopped, `DuplicateRequest` if the turn of the same request
        has ended, and the store's `LimitReached` if the new one could not start.
        """
        turns = self._local.of_thread(thread_id, context.owner)
        if turns and key is not None and (same_turn_id := await self._turns.find_duplicate(key, context)) is not None:
            raise DuplicateRequest(same_turn_id)
        if self._settings.on_busy == "reject" and any(turn.status == "running" for turn in turns):
            raise ThreadAnswering
        if turns:
            starter = Starter(thread_id, session_id=context.session_id, address_key=context.address_key)
            await self._turns.check_limits(self._gate.limits_of(context), starter, context)
            slot.count()
        await self._local.stop_thread(thread_id, context.owner, "superseded")
        return bool(turns)

    async def _begin(
        self, accepted: Accepted, context: RequestContext, key: RequestKey | None, admission: Admission
    ) -> Turn:
        if self.shutdown.is_closing:
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
            session_id=context.session_id,
            address_key=None if limits.turns_per_minute_of_address is None else context.address_key,
        )
        with self._local.saving(new.id):
            start = TurnStart(self._turns, new, accepted, key, context, limits)

            async def start_unless_refused() -> list[str]:
                if not start.may_be_saved:
                    self._gate.check_again(context, None if accepted.is_new_thread else new.thread_id)
                return await start()

            async def save() -> list[str]:
                if not limits.is_used:
                    return await start_unless_refused()
                async with self._gate.one_at_a_time(context, limits, self._request_seconds):
                    return await start_unless_refused()

            gone_ids = await through_outage(save, self._request_seconds, "a request")
            # The widget knows what a retry replaces, but not that a notice goes.
            accepted.gone_ids = gone_ids if accepted.sends_replaced else [*filter(is_notice_id, gone_ids)]
            turn = Turn(new.id, accepted, context, self._services, admission.place.hand_over().release)
            self._local.run(turn, key, admission.slot.keep())
        return turn

    async def _join(self, turn_id: str, context: RequestContext) -> LiveTurn:
        if (turn := await self.find(turn_id, context)) is None:
            raise DuplicateRequest(turn_id)
        return turn

    # -- finding

    async def find(self, turn_id: str, context: RequestContext) -> LiveTurn | None:
        """Return the user's running turn with that id, or None."""
        turn = self._local.get(turn_id)
        if turn is not None and turn.owner == context.owner:
            return turn
        try:  # also for another user's turn: without this statement it would differ from one that does not exist
            record = await self._turns.load(turn_id, context)
        except NotFoundError:
            return None
        return await self._remote.open(record, context) if record.status == "running" else None

    async def running_on(self, thread_id: str, context: RequestContext) -> LiveTurn | None:
        """Return the running turn of the user's thread, or None."""
        for turn in self._local.of_thread(thread_id, context.owner):
            if not turn.log.closed:
                return turn
        record = await self._turns.running_on(thread_id, context)
        if record is None or self._local.get(record.id) is not None:  # a turn of this worker that is just ending
            return None
        return await self._remote.open(record, context)

    # -- stopping

    async def stop(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Stop a turn, wherever it runs, and return its row once the partial answer is saved.

        Raises `NotFoundError` for another user's turn, `Conflict` if its worker does not react.
        """
        turn = self._local.get(turn_id)
        if turn is not None and turn.owner == context.owner:
            turn.stop(reason)
            await turn.ended()
        record = await self._turns.load(turn_id, context)
        if record.status != "running" or turn is not None:
            return record
        return await self._stop_remote(turn_id, reason, context)

    async def stop_thread(self, thread_id: str, reason: StopReason, context: RequestContext) -> TurnRecord | None:
        """Stop the thread's running turn as `stop` does; return None if there is none."""
        for turn in self._local.of_thread(thread_id, context.owner):
            if not turn.log.closed:
                return await self.stop(turn.id, reason, context)
        record = await self._turns.running_on(thread_id, context)
        return None if record is None else await self.stop(record.id, reason, context)

    @asynccontextmanager
    async def alone(self, thread_id: str, reason: StopReason, context: RequestContext) -> AsyncIterator[None]:
        """Stop the thread's turn, wait until it is saved, and start no other turn on this worker inside the block."""
        async with self._lock(thread_id, context):
            await self._local.stop_thread(thread_id, context.owner, reason)
            if (record := await self._turns.running_on(thread_id, context)) is not None:
                await self._stop_remote(record.id, reason, context)
            yield

    def signal(self, turn_id: str, reason: str | None) -> None:
        """Handle another worker's signal: stop the turn for `reason`, or, if None, let it run without readers here."""
        turn = self._local.get(turn_id)
        if turn is None:
            return
        turn.is_awaited_remotely = True
        if reason is None:
            turn.is_read_remotely = True
            turn.detach()
            self._journal.follow(turn_id)
        else:
            turn.stop(reason if reason in ("superseded", "deleted") else "user")  # type: ignore[arg-type]  # checked

    def _signalled(self, turn_ids: list[str]) -> None:
        """Fetch the signals if one of the turns, of any workers, runs here."""
        if any(self._local.has(turn_id) for turn_id in turn_ids):
            self._journal.fetch_signals()

    def lose(self, turn_id: str) -> None:
        """Stop a turn whose row another worker has closed."""
        turn = self._local.get(turn_id)
        if turn is not None and turn.status == "running":  # else it has just ended
            logger.error("turn %s was closed by another worker, which considered this one dead", turn_id)
            turn.stop("lost")

    async def _stop_remote(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Stop a turn that does not run on this worker."""
        # First as if its worker were alive: to find out takes longer than to stop it.
        if (record := await self._remote.stop_at_once(turn_id, reason, context)) is not None:
            return record
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
        if self._local.has(record.id):
            return
        async with self._recovering.setdefault(record.id, asyncio.Lock()):
            if self._journal.has_page(record.id):  # its last events are not written yet
                await self._journal.write()
            await self._recover_turn(record)

    def _lock(self, thread_id: str, context: RequestContext) -> asyncio.Lock:
        """Return the lock of the owner and the thread: another user who knows the id must not block it."""
        return self._locks.setdefault((*context.owner, thread_id), asyncio.Lock())
