"""Turns: a turn is one request that runs the agent. Each of its two ends is one transaction."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from chatkit.types import ThreadItem, ThreadMetadata
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import threads
from store.columns import load_json
from store.database import AnyRow, Database, all_rows, one_row
from store.errors import NotFound
from store.items import check_thread, position_of, take_positions, write_items
from store.owner import HasUser, owned
from store.paging import clamp
from store.tables import thread_items, turns

TurnStatus = Literal["running", "completed", "stopped", "failed", "interrupted"]

t = turns.c
i = thread_items.c


@dataclass(frozen=True)
class NewTurn:
    """A turn about to run; `kind` is the ChatKit operation, `id` comes from `new_id("turn")`."""

    id: str
    thread_id: str
    kind: str
    request_id: str
    frame_id: str | None = None
    user_item_id: str | None = None
    model: str | None = None


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
    transcript: Any

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
    ) -> None:
        """Open a turn in one transaction: its thread if it is new, its first items, its row as `running` (T8).

        With `replace_after`, the id of an item of the thread, everything after that item is marked as replaced by this
        turn before `items` are added (T9). Raises `IdClash` for a taken turn, thread or item id, and writes nothing.
        """
        if new_thread is not None and new_thread.id != turn.thread_id:
            raise ValueError("the turn and its new thread differ in the thread's id")

        async def work(connection: AsyncConnection) -> None:
            if new_thread is not None:
                await threads.insert_thread(connection, self._database, new_thread, context)
            if replace_after is not None:
                await _replace(connection, turn, replace_after, context)
            if new_thread is None or items:
                await write_items(connection, self._database, turn.thread_id, items, context, turn.id)
            await connection.execute(insert(turns).values(_started(turn, context)))

        await self._database.write(work)
        if new_thread is not None:
            threads.remember(self._database, new_thread)

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
        items: Sequence[ThreadItem] = (),
        restore_replaced: bool = False,
    ) -> bool:
        """End a turn in one transaction: its last items, its row; `restore_replaced` brings back what it replaced (T9).

        None leaves a column as it is. Returns False, having written nothing, when there is no such turn (any more):
        its thread was deleted meanwhile, or it is not the user's. A turn that has ended takes the later end.
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
            "ended_at": datetime.now(UTC),
        }

        async def work(connection: AsyncConnection) -> bool:
            thread_id = await _end(connection, turn_id, ended, context)
            if thread_id is None:
                return False
            if restore_replaced:
                await _restore(connection, thread_id, turn_id)
            if items:
                await write_items(connection, self._database, thread_id, items, context, turn_id)
            return True

        return await self._database.write(work)

    async def load(self, turn_id: str, context: HasUser) -> TurnRecord:
        """One turn."""
        query = select(turns).where(t.id == turn_id, owned(turns, context))
        row = await self._database.read(lambda c: one_row(c, query))
        if row is None:
            raise NotFound("Turn", turn_id)
        return TurnRecord.from_row(row)

    async def list(self, context: HasUser, thread_id: str | None = None, limit: int = 50) -> "list[TurnRecord]":
        """The user's latest turns, newest first, of one thread or of all; `limit` is clamped to 1..500."""
        query = select(turns).where(owned(turns, context)).order_by(t.started_at.desc(), t.id.desc())
        if thread_id is not None:
            query = query.where(t.thread_id == thread_id)

        async def work(connection: AsyncConnection) -> Sequence[AnyRow]:
            rows = await all_rows(connection, query.limit(clamp(limit)))
            if not rows and thread_id is not None:
                await check_thread(connection, thread_id, context)
            return rows

        return [TurnRecord.from_row(row) for row in await self._database.read(work)]


def _started(turn: NewTurn, context: HasUser) -> dict[str, Any]:
    return asdict(turn) | {"user_id": context.user_id, "status": "running", "started_at": datetime.now(UTC)}


async def _replace(connection: AsyncConnection, turn: NewTurn, after: str, context: HasUser) -> None:
    """Hide what follows the item, for as long as the turn stands. The thread is locked first."""
    await take_positions(connection, turn.thread_id, 0, context)
    position = await position_of(connection, turn.thread_id, after, context)
    later = (i.thread_id == turn.thread_id, i.position > position, i.replaced_by.is_(None))
    await connection.execute(update(thread_items).where(*later).values(replaced_by=turn.id))


async def _restore(connection: AsyncConnection, thread_id: str, turn_id: str) -> None:
    replaced = (i.thread_id == thread_id, i.replaced_by == turn_id)
    await connection.execute(update(thread_items).where(*replaced).values(replaced_by=None))


async def _end(connection: AsyncConnection, turn_id: str, ended: dict[str, Any], context: HasUser) -> str | None:
    """Write what is known of the end; return the thread's id, None where there is no such turn."""
    values = {name: value for name, value in ended.items() if value is not None}
    statement = update(turns).where(t.id == turn_id, owned(turns, context)).values(values).returning(t.thread_id)
    thread_id: str | None = await connection.scalar(statement)
    return thread_id
