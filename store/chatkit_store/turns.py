"""Turns: start, end, find and signal them. A turn is one request that runs the agent."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from chatkit.types import ThreadItem, ThreadMetadata
from sqlalchemy import BigInteger, Connection, Integer, Update, and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import approvals, at_once, deleted_threads, limits
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import AnyRow, Database
from chatkit_store.errors import (
    DuplicateRequest,
    IdClash,
    NotFound,
    StoreError,
    StoreUnavailable,
    ThreadBusy,
    ThreadChanged,
)
from chatkit_store.items import UNFINISHED, check_thread, to_rows, write_items
from chatkit_store.loop_connection import is_short
from chatkit_store.notices import ROLE as NOTICE
from chatkit_store.notices import remove_notices, remove_older_notices
from chatkit_store.notifications import CHANGES, SIGNALS, notify
from chatkit_store.owner import HasUser, owned, owner_values, owns_thread
from chatkit_store.paging import clamp
from chatkit_store.tables import RUNNING, thread_items, turns, workers
from chatkit_store.tables import threads as thread_rows
from chatkit_store.turn_rows import NewTurn, RequestKey, TurnEnd, TurnRecord
from chatkit_store.turn_start import RELEASE_KEY, TurnStart

RETRY = "threads.retry_after_item"
"""The `kind` of a turn that replaces an answer."""

START_TRIES = 10
"""How often the start of a turn is tried if an id clashes and the reason is gone when it is looked up: of quick turns,
another one may run each time."""
START_PAUSE = 0.005
"""Seconds by which the pause before each further try grows."""

KEEP = "keep"
"""The signal to keep a turn running for a reader at another worker. Any other signal is the reason to stop."""

NO_LIMITS = limits.TurnLimits()

t = turns.c
i = thread_items.c


class TurnStore:
    """The turns of `context.user_id`'s threads. Raises `NotFound` for another user's, and errors as `SqlStore` does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    # Start and end

    async def start(
        self,
        turn: NewTurn,
        context: HasUser,
        *,
        new_thread: ThreadMetadata | None = None,
        items: Sequence[ThreadItem] = (),
        replace_after: str | None = None,
        decisions: Sequence[approvals.ApprovalDecision] = (),
        key: RequestKey | None = None,
        seen_position: int | None = None,
        allowed: limits.TurnLimits = NO_LIMITS,
    ) -> list[str]:
        """Start a turn in one transaction: write its thread if new, its first items, and its row as `running`.

        `replace_after` is the id of an item of the thread: everything after it is marked as replaced by this turn
        before `items` are added. Attachments of user messages among `items` are bound to the thread. If the turn has a
        `user_item_id`, runs that wait for an approval expire. `decisions` decide such calls. `allowed` limits what the
        user starts, exactly, over all workers.

        Returns the ids of the visible items that the thread no longer shows: the replaced ones and the notices.

        Raises, having written nothing:
        - `ThreadBusy` if a turn is running on the thread, `DuplicateRequest` if `key` belongs to an earlier turn;
        - `ThreadChanged` if the thread is no longer at `seen_position` (of `items.Recent`);
        - `LimitReached` if one of the limits `allowed` is reached;
        - `AlreadyDecided` if a call of `decisions` no longer waits;
        - `IdClash` if a turn, thread or item id is taken;
        - `NotFound` if an attachment was deleted or belongs to another thread or user.
        """
        start = TurnStart(
            turn,
            context,
            new_thread=new_thread,
            items=items,
            replace_after=replace_after,
            decisions=decisions,
            key=key,
            seen_position=seen_position,
            allowed=allowed,
            dialect=self._database.dialect,
        )
        gone_ids = None
        if self._database.writes_at_once and (write := start.at_once()) is not None:
            gone_ids = await self._start_at_once(write, new_thread is not None, context)
        if gone_ids is None:
            gone_ids = await self._start_stepwise(start, context)
        if new_thread is not None and start.thread_row is not None:
            self._database.baselines.remember(new_thread, start.thread_row)
        return gone_ids

    async def _start_at_once(self, write: at_once.Write, is_new_thread: bool, context: HasUser) -> "list[str] | None":
        """Start a turn in one statement; return None, having written nothing, if that is impossible."""
        try:
            rows = await self._database.write_at_once(*write, context, may_repeat=False)
        except StoreUnavailable:
            raise
        except StoreError:  # such as a taken id: the transaction finds out what it means
            return None
        if not rows:
            return None
        return [] if is_new_thread else [row.id for row in rows if row.id is not None]

    async def _start_stepwise(self, start: TurnStart, context: HasUser) -> "list[str]":
        """Start a turn by a statement per step, again after a clash that is over."""
        tries = 0
        while True:
            tries += 1
            try:
                return await self._database.write(start.write, context, is_short=start.is_short)
            except IdClash:  # of any unique column. Conflicts are looked up only now, so the usual case costs no query
                if tries == START_TRIES:
                    raise
                await self._explain_clash(start.turn, start.key, context)
                await asyncio.sleep(tries * START_PAUSE)
            except ThreadChanged:  # perhaps by a turn that is still running, or that of an equal request
                await self._explain_clash(start.turn, start.key, context)
                raise

    async def _explain_clash(self, turn: NewTurn, key: RequestKey | None, context: HasUser) -> None:
        """Raise `DuplicateRequest` or `ThreadBusy`; return if neither applies (any more), so that a retry makes sense.

        An expired key is released here. An id that is really taken clashes again in the retry.
        """
        row = None if key is None else await self._find_by_key(key, context)
        if key is not None and row is not None and row.id != key.taken_from:
            if key.covers(row.status, row.started_at, row.readers):
                raise DuplicateRequest(row.id)
            await self.release_key(row.id, context)
        values = {"thread": turn.thread_id, **owner_values(context)}
        running_id: str | None = await self._database.read(lambda c: c.scalar(_RUNNING_ID, values), context)
        if running_id is not None:
            raise ThreadBusy(running_id)

    async def check_limits(self, allowed: limits.TurnLimits, starter: limits.Starter, context: HasUser) -> None:
        """Raise `LimitReached` if such a turn could not start now, before anything is done for it."""
        await self._database.read(lambda c: limits.check(c, allowed, starter, context, is_written=False), context)

    async def tenant_tokens(self, tenant: str, since: datetime) -> int:
        """Return how many tokens the turns of a tenant, of all its users, have used that started since then.

        Reads an index entry for each of them, so it is not for every request.
        """
        return await self._database.read(lambda c: limits.tenant_tokens(c, tenant, since), ALL_USERS)

    async def prune_limits(self) -> None:
        """Delete what no limit counts any more and what deleted threads left for a day; and the keys of addresses."""

        def work(connection: Connection) -> None:
            limits.forget_old(connection)
            deleted_threads.forget_old(connection)

        await self._database.write(work, ALL_USERS)

    async def finish(
        self,
        turn_id: str,
        end: TurnEnd,
        context: HasUser,
        *,
        items: Sequence[ThreadItem] = (),
        restore_replaced: bool = False,
        keep_transcript: bool = False,
        worker_id: str | None = None,
        notifies: bool = False,
    ) -> bool:
        """End a turn in one transaction: write its last `items`, delete its other unfinished items, update its row.

        A notice among `items` replaces an older one that `restore_replaced` would bring back.
        `restore_replaced` brings back the items that the turn replaced and the approvals that it made expire.
        `keep_transcript` leaves the stored transcript as it is. Finishing a turn again overwrites its end. `notifies`
        says that other workers wait for the end.

        Returns False, having written nothing, if the user has no such turn or it is not `worker_id`'s: its thread was
        deleted, or another worker took this one for dead and closed the turn.
        """
        columns = end.to_row(keep_transcript=keep_transcript)
        expected_rows = to_rows(items[0].thread_id, items, turn_id) if items else []

        def work(connection: Connection) -> bool:
            if self._database.dialect == "postgresql":  # SQLite has one writer
                connection.execute(_LOCK_THREAD, {"turn": turn_id})
            values = {"turn": turn_id, **owner_values(context), "worker": worker_id, "more": end.readers}
            turn = connection.execute(_END, {**columns, **values}).one_or_none()
            if turn is None:
                return False
            thread_id: str = turn.thread_id
            if restore_replaced:
                connection.execute(_RESTORE, {"thread": thread_id, "turn": turn_id})
                approvals.wait_again(connection, thread_id)
            elif turn.kind == RETRY:
                approvals.forget(connection, thread_id)
            if expected_rows:
                is_expected = expected_rows[0]["thread_id"] == thread_id
                rows = expected_rows if is_expected else to_rows(thread_id, items, turn_id)
                write_items(connection, self._database.dialect, thread_id, rows, context)
            for row in expected_rows:
                if row["role"] == NOTICE:
                    remove_older_notices(connection, thread_id, turn_id, row["id"])
            connection.execute(UNFINISHED, {"turn": turn_id})
            if notifies:
                notify(connection, CHANGES, [turn_id])
            return True

        has_item = at_once.is_plain(expected_rows) and expected_rows[0]["role"] != NOTICE
        is_plain = (has_item or not expected_rows) and not (restore_replaced or notifies)
        if is_plain and self._database.writes_at_once:
            values = {"turn": turn_id, **owner_values(context), "worker": worker_id, "more": end.readers}
            write = _end_at_once(expected_rows, columns, values, context)
            if await self._database.write_at_once(*write, context, may_repeat=True):
                return True
        texts = columns.get("transcript"), *(row["payload"] for row in expected_rows)
        return await self._database.write(work, context, is_short=is_plain and is_short(*texts))

    async def finish_closed(
        self, turn_id: str, end: TurnEnd, context: HasUser, *, items: Sequence[ThreadItem] = ()
    ) -> bool:
        """Complete a turn that another worker has closed as crashed, with all that its own worker has of it.

        The row gets the status of `end` only if that is `completed`. Returns False, having written nothing, if the turn
        was not closed so, or is no longer the last one of its thread, or a retry would add items beside the restored
        answer.
        """
        columns = end.to_row(keep_transcript=False) | {"stop_reason": None}
        if end.status != "completed":
            columns = {"transcript": columns["transcript"]}

        def work(connection: Connection) -> bool:
            if self._database.dialect == "postgresql":
                connection.execute(_LOCK_THREAD, {"turn": turn_id})
            values = {"turn": turn_id, **owner_values(context)}
            closed = connection.execute(_COMPLETE, {**columns, **values, "more": end.readers}).one_or_none()
            if closed is None:
                return False
            rows = to_rows(closed.thread_id, items, turn_id)
            if end.status == "completed":
                remove_notices(connection, closed.thread_id)
            saved = set(connection.scalars(_SAVED, {"items": [row["id"] for row in rows], "thread": closed.thread_id}))
            if closed.kind == RETRY and any(row["id"] not in saved for row in rows if row["role"] != NOTICE):
                raise _Refused
            write_items(connection, self._database.dialect, closed.thread_id, rows, context)
            return True

        try:
            return await self._database.write(work, context)
        except _Refused:
            return False

    # Running turns, at any worker

    async def running_on(self, thread_id: str, context: HasUser) -> TurnRecord | None:
        """Return the running turn of a thread, or None."""
        values = {"thread": thread_id, **owner_values(context)}
        row = await self._database.read(lambda c: c.execute(_RUNNING, values).one_or_none(), context)
        return None if row is None else TurnRecord.from_row(row)

    async def find_duplicate(self, key: RequestKey, context: HasUser) -> str | None:
        """Return the id of the turn that an equal request started, or None if there is none or its key has expired."""
        row = await self._find_by_key(key, context)
        return row.id if row is not None and key.covers(row.status, row.started_at, row.readers) else None

    async def release_key(self, turn_id: str, context: HasUser) -> None:
        """Let the next request with the turn's key start a turn of its own."""
        values = {"turn": turn_id, **owner_values(context)}
        await self._database.write(lambda c: c.execute(RELEASE_KEY, values), context)

    async def ask_to_stop(self, turn_id: str, reason: str, context: HasUser) -> None:
        """Signal the turn's worker to stop it. The first reason wins; does nothing once the turn has ended."""
        await self._signal(_STOP, {"turn": turn_id, **owner_values(context), "reason": reason}, context)

    async def join(self, turn_id: str, context: HasUser) -> None:
        """Signal the turn's worker to keep it running without local readers, for a reader at another worker."""
        await self._signal(_JOIN, {"turn": turn_id, **owner_values(context)}, context)

    async def _signal(self, statement: Update, values: dict[str, str], context: HasUser) -> None:
        """Write a signal, and notify the turn's worker."""

        def work(connection: Connection) -> None:
            if connection.execute(statement, values).rowcount:
                notify(connection, SIGNALS, [values["turn"]])

        await self._database.write(work, context)

    async def count_reader(self, turn_id: str, context: HasUser) -> None:
        """Count a reader at another worker."""
        await self._database.write(
            lambda c: c.execute(_COUNT_READER, {"turn": turn_id, **owner_values(context)}), context
        )

    async def running_by(self, worker_id: str) -> frozenset[str]:
        """Return the ids of the worker's running turns, of all users."""
        return frozenset(
            await self._database.read(lambda c: c.scalars(_OF_WORKER, {"worker": worker_id}).all(), ALL_USERS)
        )

    async def adopt(self, worker_id: str, orphaned: Sequence[str] = ()) -> "list[TurnRecord]":
        """Assign the running turns of dead workers to this worker, for all users, and return them.

        `orphaned` are ids of its own turns that it no longer runs. No turn is ever returned to two workers.
        """
        dead = await self._database.read(lambda c: c.scalars(_DEAD_WORKERS).all(), ALL_USERS)
        if not (dead or orphaned):
            return []
        values = {"worker": worker_id, "dead": dead, "orphaned": list(orphaned)}

        def work(connection: Connection) -> Sequence[AnyRow]:
            turn_ids = connection.scalars(_ADOPT, values).all()
            return connection.execute(_ADOPTED, {"turns": turn_ids}).all() if turn_ids else []

        return [TurnRecord.from_row(row) for row in await self._database.write(work, ALL_USERS)]

    async def _find_by_key(self, key: RequestKey, context: HasUser) -> AnyRow | None:
        values = {"key": key.value, **owner_values(context)}
        return await self._database.read(lambda c: c.execute(_BY_KEY, values).one_or_none(), context)

    # Records

    async def load(self, turn_id: str, context: HasUser) -> TurnRecord:
        """Return one turn. Raises `NotFound`."""
        values = {"turn": turn_id, **owner_values(context)}
        row = await self._database.read(lambda c: c.execute(_LOAD, values).one_or_none(), context)
        if row is None:
            raise NotFound("Turn", turn_id)
        return TurnRecord.from_row(row)

    async def list(self, context: HasUser, thread_id: str | None = None, limit: int = 50) -> "list[TurnRecord]":
        """Return the user's latest turns, newest first, of one thread or of all; `limit` is clamped to 1..500."""
        values = {"thread": thread_id, **owner_values(context), "count": clamp(limit)}

        def work(connection: Connection) -> Sequence[AnyRow]:
            rows = connection.execute(_LIST if thread_id is None else _LIST_OF_THREAD, values).all()
            if not rows and thread_id is not None:
                check_thread(connection, thread_id, context)
            return rows

        return [TurnRecord.from_row(row) for row in await self._database.read(work, context)]


class _Refused(Exception):
    """Roll the transaction back."""


def _end_at_once(
    rows: Sequence[at_once.Columns], columns: at_once.Columns, values: at_once.Columns, context: HasUser
) -> at_once.Write:
    """Return what ends a turn, with one item or none."""
    if rows:
        return at_once.end_with(rows[0], columns, values, _END_PLAIN, context)
    return at_once.end(columns, values, _END_PLAIN, _LOCK_THREAD)


_END = (  # also sets the columns that are among the parameters
    update(turns)
    .where(t.id == bindparam("turn"), owned(turns), t.worker_id.is_not_distinct_from(bindparam("worker")))
    .values(readers=t.readers + bindparam("more", type_=Integer), signal=None)
    .returning(t.thread_id, t.kind)
)
_END_PLAIN = _END.where(t.kind != RETRY)
_later = turns.alias()
_COMPLETE = (
    update(turns)
    .where(
        t.id == bindparam("turn"),
        owned(turns),
        t.status == "interrupted",
        t.stop_reason == "crash",
        ~select(_later.c.id).where(_later.c.thread_id == t.thread_id, _later.c.started_at > t.started_at).exists(),
    )
    .values(readers=t.readers + bindparam("more", type_=Integer))
    .returning(t.thread_id, t.kind)
)
_SAVED = select(i.id).where(i.thread_id == bindparam("thread"), i.id.in_(bindparam("items", expanding=True)))
_LOCK_THREAD = (  # before the turn, in the same order as `start`, to avoid a deadlock
    select(thread_rows.c.id)
    .join(turns, t.thread_id == thread_rows.c.id)
    .where(t.id == bindparam("turn"))
    .with_for_update(key_share=True, of=thread_rows)
)
_REPLACED = (func.coalesce(i.thread_id, "") == bindparam("thread"), i.replaced_by == bindparam("turn"))
_RESTORE = update(thread_items).where(*_REPLACED).values(replaced_by=None)

_RUNNING = select(turns).where(t.thread_id == bindparam("thread"), t.status == RUNNING, owned(turns))
_RUNNING_ID = _RUNNING.with_only_columns(t.id)
_BY_KEY = select(t.id, t.status, t.started_at, t.readers).where(t.request_key == bindparam("key"), owned(turns))
_IS_RUNNING = (t.id == bindparam("turn"), t.status == RUNNING, owned(turns))
_STOP = update(turns).where(*_IS_RUNNING, func.coalesce(t.signal, KEEP) == KEEP).values(signal=bindparam("reason"))
_JOIN = update(turns).where(*_IS_RUNNING).values(signal=func.coalesce(t.signal, KEEP))
_COUNT_READER = update(turns).where(t.id == bindparam("turn"), owned(turns)).values(readers=t.readers + 1)
_OF_WORKER = select(t.id).where(t.worker_id == bindparam("worker"), t.status == RUNNING)
_HAS_DEAD_WORKER = ~select(workers.c.id).where(workers.c.id == t.worker_id).exists()
_DEAD_WORKERS = select(t.worker_id).where(t.status == RUNNING, _HAS_DEAD_WORKER).distinct()
# Compares the row alone: once another worker has adopted the turn, the row names that one. A subquery would look for
# its heartbeat in the statement's snapshot, which may be older.
_ADOPTABLE = or_(
    t.worker_id.in_(bindparam("dead", expanding=True)),
    t.worker_id.is_(None),
    and_(t.worker_id == bindparam("worker"), t.id.in_(bindparam("orphaned", expanding=True))),
)
_ADOPT = update(turns).where(t.status == RUNNING, _ADOPTABLE).values(worker_id=bindparam("worker")).returning(t.id)
_ADOPTED = select(turns).where(t.id.in_(bindparam("turns", expanding=True)))

_LOAD = select(turns).where(t.id == bindparam("turn"), owned(turns))
_NEWEST = select(turns).order_by(t.started_at.desc(), t.id.desc()).limit(bindparam("count", type_=BigInteger))
_LIST = _NEWEST.where(owned(turns))
_LIST_OF_THREAD = _NEWEST.where(t.thread_id == bindparam("thread"), owns_thread())
