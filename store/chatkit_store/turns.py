"""Turns: a turn is one request that runs the agent. Each of its two ends is one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from chatkit.types import ThreadItem, ThreadMetadata
from sqlalchemy import BigInteger, Connection, Integer, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import approvals, attachments, running, threads
from chatkit_store.columns import dump_json, load_json
from chatkit_store.database import AnyRow, Database
from chatkit_store.errors import DuplicateRequest, IdClash, NotFound, ThreadBusy, ThreadChanged
from chatkit_store.items import UNFINISHED, check_thread, position_of, put_items, take_positions, to_rows, write_items
from chatkit_store.owner import HasUser, owned
from chatkit_store.paging import clamp
from chatkit_store.tables import thread_items, turns
from chatkit_store.tables import threads as thread_rows

TurnStatus = Literal["running", "completed", "stopped", "failed", "interrupted"]

RETRY = "threads.retry_after_item"
"""The kind of a turn that replaces an answer."""

t = turns.c
i = thread_items.c


@dataclass(frozen=True)
class RequestKey:
    """What tells that a request is the same as one before: its turn is joined instead of starting another.

    That holds for `seconds` from the start of the turn while it runs, and for `ended_seconds` where it has ended.
    """

    value: str
    seconds: float
    ended_seconds: float = 0.0


@dataclass(frozen=True)
class NewTurn:
    """A turn about to run; `kind` is the ChatKit operation, `id` comes from `new_id("turn")`.

    `worker_id` is who runs it; where that is no known worker, the turn counts as cut off by a crash.
    """

    id: str
    thread_id: str
    kind: str
    request_id: str
    frame_id: str | None = None
    user_item_id: str | None = None
    model: str | None = None
    worker_id: str | None = None


@dataclass(frozen=True)
class TurnRecord:
    """A row of `turns`; times are aware UTC, `_ms` are milliseconds from the start, `transcript` is plain JSON."""

    id: str
    thread_id: str
    user_id: str
    kind: str
    user_item_id: str | None
    request_id: str
    frame_id: str | None
    model: str | None
    status: TurnStatus
    stop_reason: str | None
    error_code: str | None
    started_at: datetime
    ended_at: datetime | None
    first_token_ms: int | None
    duration_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    tokens_per_second: float | None
    retries: int | None
    readers: int
    transcript: Any
    worker_id: str | None
    signal: str | None
    request_key: str | None

    @classmethod
    def from_row(cls, row: AnyRow) -> "TurnRecord":
        """The record of a whole row."""
        columns = dict(row._mapping)
        return cls(**columns | {"transcript": load_json(columns["transcript"])})


class TurnStore:
    """The turns of `context.user_id`'s threads. Raises as `SqlStore` does: `NotFound` for what is not theirs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def start(
        self,
        turn: NewTurn,
        context: HasUser,
        *,
        new_thread: ThreadMetadata | None = None,
        items: Sequence[ThreadItem] = (),
        replace_after: str | None = None,
        choice: approvals.Choice | None = None,
        key: RequestKey | None = None,
        seen_position: int | None = None,
    ) -> None:
        """Open a turn in one transaction: its thread if it is new, its first items, its row as `running` (T8).

        With `replace_after`, the id of an item of the thread, everything after that item is marked as replaced by this
        turn before `items` are added (T9). The attachments of users' messages among `items` become the thread's for
        good (T13). Raises `ThreadBusy` where a turn runs on the thread (T16), `DuplicateRequest` where `key` was given
        to a turn before, `IdClash` for a taken turn, thread or item id, `NotFound` for an attachment that is another
        thread's or user's or was deleted; then nothing is written.

        A turn of the user's words lets what waited for an approval expire. `choice` decides about one call instead;
        raises `AlreadyDecided` where it no longer waits. With `seen_position`, that of `items.Recent`, it raises
        `ThreadChanged` where something happened on the thread since it was read.
        """
        if new_thread is not None and new_thread.id != turn.thread_id:
            raise ValueError("the turn and its new thread differ in the thread's id")
        database, dialect = self._database, self._database.dialect
        rows, attached = to_rows(turn.thread_id, items, turn.id), attachments.ids_in(items)
        row = None if new_thread is None else threads.to_row(new_thread)

        def work(connection: Connection) -> None:
            if row is not None:
                threads.insert_thread(connection, dialect, turn.thread_id, row, context, len(rows))
            if replace_after is not None:
                _replace(connection, turn, replace_after, context)
            if row is not None:
                put_items(connection, dialect, rows, 1)
            else:
                write_items(connection, dialect, turn.thread_id, rows, context, seen_position=seen_position)
            attachments.bind(connection, attached, turn.thread_id, context)
            if turn.user_item_id is not None:  # the user speaks: what waited for a decision waits no more
                approvals.expire(connection, turn.thread_id, is_final=replace_after is None)
            if choice is not None:
                approvals.decide(connection, turn.thread_id, choice, context)
            connection.execute(_START, {**_started(turn, context), "request_key": key and key.value})

        await self._write_start(work, turn, key, context)
        if new_thread is not None and row is not None:
            database.baselines.remember(new_thread, row)

    async def _write_start(
        self, work: Callable[[Connection], None], turn: NewTurn, key: RequestKey | None, context: HasUser
    ) -> None:
        for is_last in (False, False, True):
            try:
                return await self._database.write(work)
            except IdClash:  # of whatever: nothing is asked in advance, so that the usual way costs nothing
                if is_last:
                    raise
                await self._explain_clash(turn, key, context)
            except ThreadChanged:  # perhaps by a turn that still runs, or that of an equal request
                await self._explain_clash(turn, key, context)
                raise
        return None

    async def _explain_clash(self, turn: NewTurn, key: RequestKey | None, context: HasUser) -> None:
        """Raises `DuplicateRequest` or `ThreadBusy`. Where it was neither, or is not any more, another try is worth it:
        a key that counts no more is free then, and an id that is really taken clashes again."""
        if key is not None and (twin := await running.find_by_key(self._database, key.value, context)) is not None:
            if _is_same(twin, key):
                raise DuplicateRequest(twin.id)
            await running.free_key(self._database, twin.id, context)
        if (other := await running.find(self._database, turn.thread_id, context)) is not None:
            raise ThreadBusy(other)

    async def finish(
        self,
        turn_id: str,
        context: HasUser,
        *,
        status: TurnStatus,
        stop_reason: str | None = None,
        error_code: str | None = None,
        model: str | None = None,
        first_token_ms: int | None = None,
        duration_ms: int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        transcript: Any = None,
        retries: int | None = None,
        readers: int = 0,
        items: Sequence[ThreadItem] = (),
        restore_replaced: bool = False,
        worker_id: str | None = None,
        keep_transcript: bool = False,
    ) -> bool:
        """End a turn in one transaction: its last items, its row; `restore_replaced` brings back what it replaced (T9),
        and what waited for an approval there waits again.

        Rows of items that it began and that are not among `items` go. None leaves a column as it is, except for
        `transcript`, where `keep_transcript` does; `readers` are added to those of other workers. Returns False, having
        written nothing, when there is no such turn (any more): its thread was deleted meanwhile, it is not the user's,
        or not `worker_id`'s, because another worker took it for dead and closed it. A turn that has ended takes the
        later end.
        """
        ended = {
            "status": status,
            "stop_reason": stop_reason,
            "error_code": error_code,
            "model": model,
            "first_token_ms": first_token_ms,
            "duration_ms": duration_ms,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "tokens_per_second": _rate(output_tokens, first_token_ms, duration_ms),
            "retries": retries,
            "ended_at": datetime.now(UTC),
        }
        known: dict[str, Any] = {name: value for name, value in ended.items() if value is not None}
        if not keep_transcript:
            known["transcript"] = None if transcript is None else dump_json(transcript)
        told = to_rows(items[0].thread_id, items, turn_id) if items else []

        def work(connection: Connection) -> bool:
            values = {"turn": turn_id, "owner": context.user_id, "worker": worker_id, "more": readers}
            if self._database.dialect == "postgresql":  # SQLite has one writer
                connection.execute(_LOCK_THREAD, {"turn": turn_id})
            turn = _end(connection, known, values)
            if turn is None:
                return False
            thread_id: str = turn.thread_id
            if restore_replaced:
                connection.execute(_RESTORE, {"thread": thread_id, "turn": turn_id})
                approvals.wait_again(connection, thread_id)
            elif turn.kind == RETRY:
                approvals.forget(connection, thread_id)
            if told:
                rows = told if told[0]["thread_id"] == thread_id else to_rows(thread_id, items, turn_id)
                write_items(connection, self._database.dialect, thread_id, rows, context)
            connection.execute(UNFINISHED, {"turn": turn_id})
            return True

        return await self._database.write(work)

    async def running_on(self, thread_id: str, context: HasUser) -> TurnRecord | None:
        """The turn that runs on the thread, whichever worker runs it; None where none does, or it is a stranger's."""
        values = {"thread": thread_id, "owner": context.user_id}
        row = await self._database.read(lambda c: c.execute(_RUNNING, values).one_or_none())
        return None if row is None else TurnRecord.from_row(row)

    async def find_duplicate(self, key: RequestKey, context: HasUser) -> str | None:
        """The id of the turn that was started for the same request; None where none counts (any more)."""
        twin = await running.find_by_key(self._database, key.value, context)
        return twin.id if twin is not None and _is_same(twin, key) else None

    async def ask_to_stop(self, turn_id: str, reason: str, context: HasUser) -> None:
        """Tell the worker that runs the turn to stop it, unless it has ended; the first reason counts."""
        await running.ask_to_stop(self._database, turn_id, reason, context)

    async def join(self, turn_id: str, context: HasUser) -> None:
        """Count a reader at another worker, and tell the one that runs the turn to go on without readers of its own."""
        await running.join(self._database, turn_id, context)

    async def running_by(self, worker_id: str) -> frozenset[str]:
        """The ids of all running turns that are the worker's, whoever's threads they are on."""
        return await running.ids_of(self._database, worker_id)

    async def adopt(self, worker_id: str, lost: Sequence[str] = ()) -> "list[TurnRecord]":
        """Make the running turns of workers that are gone this worker's, whoever's they are, and return them.

        `lost` are turns of its own that it does not run any more. Two workers never get the same turn.
        """
        rows = await running.adopt(self._database, worker_id, lost)
        return [TurnRecord.from_row(row) for row in rows]

    async def load(self, turn_id: str, context: HasUser) -> TurnRecord:
        """One turn."""
        row = await self._database.read(
            lambda c: c.execute(_LOAD, {"turn": turn_id, "owner": context.user_id}).one_or_none()
        )
        if row is None:
            raise NotFound("Turn", turn_id)
        return TurnRecord.from_row(row)

    async def list(self, context: HasUser, thread_id: str | None = None, limit: int = 50) -> "list[TurnRecord]":
        """The user's latest turns, newest first, of one thread or of all; `limit` is clamped to 1..500."""
        values = {"thread": thread_id, "owner": context.user_id, "count": clamp(limit)}

        def work(connection: Connection) -> Sequence[AnyRow]:
            rows = connection.execute(_LIST if thread_id is None else _LIST_OF_THREAD, values).all()
            if not rows and thread_id is not None:
                check_thread(connection, thread_id, context)
            return rows

        return [TurnRecord.from_row(row) for row in await self._database.read(work)]


_START = insert(turns)
_END = (  # sets what it is given
    update(turns)
    .where(t.id == bindparam("turn"), owned(turns), t.worker_id.is_not_distinct_from(bindparam("worker")))
    .values(readers=t.readers + bindparam("more", type_=Integer), signal=None)
    .returning(t.thread_id, t.kind)
)
_LOCK_THREAD = (  # before the turn, as `start` does: else each may wait for the other
    select(thread_rows.c.id)
    .join(turns, t.thread_id == thread_rows.c.id)
    .where(t.id == bindparam("turn"))
    .with_for_update(of=thread_rows)
)
_RUNNING = select(turns).where(t.thread_id == bindparam("thread"), t.status == "running", owned(turns))
_LOAD = select(turns).where(t.id == bindparam("turn"), owned(turns))
_NEWEST = select(turns).where(owned(turns)).order_by(t.started_at.desc(), t.id.desc())
_LIST = _NEWEST.limit(bindparam("count", type_=BigInteger))
_LIST_OF_THREAD = _LIST.where(t.thread_id == bindparam("thread"))
_LATER = (
    i.thread_id == bindparam("thread"),
    i.position > bindparam("after", type_=BigInteger),
    i.replaced_by.is_(None),
)
_REPLACE = update(thread_items).where(*_LATER).values(replaced_by=bindparam("turn"))
_REPLACED = (i.thread_id == bindparam("thread"), i.replaced_by == bindparam("turn"))
_RESTORE = update(thread_items).where(*_REPLACED).values(replaced_by=None)


def _is_same(twin: running.Twin, key: RequestKey) -> bool:
    """Whether the turn with the key is the one that an equal request joins."""
    seconds = key.seconds if twin.status == "running" else key.ended_seconds
    return datetime.now(UTC) - twin.started_at <= timedelta(seconds=seconds)


def _started(turn: NewTurn, context: HasUser) -> dict[str, Any]:
    return {**vars(turn), "user_id": context.user_id, "status": "running", "started_at": datetime.now(UTC)}


def _replace(connection: Connection, turn: NewTurn, after: str, context: HasUser) -> None:
    """Hide what follows the item, for as long as the turn stands. The thread is locked first."""
    take_positions(connection, turn.thread_id, 0, context)
    position = position_of(connection, turn.thread_id, after, context)
    connection.execute(_REPLACE, {"thread": turn.thread_id, "after": position, "turn": turn.id})


def _end(connection: Connection, known: dict[str, Any], values: dict[str, Any]) -> AnyRow | None:
    """Write what is known of the end; return the thread's id and the turn's kind, None where there is no such turn."""
    return connection.execute(_END, {**known, **values}).one_or_none()


def _rate(tokens: int | None, first_token_ms: int | None, duration_ms: int | None) -> float | None:
    """Tokens per second of the time in which tokens came."""
    if tokens is None or duration_ms is None or duration_ms <= (first_token_ms or 0):
        return None
    return round(tokens * 1000 / (duration_ms - (first_token_ms or 0)), 1)
