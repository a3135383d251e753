"""Take over threads of another ChatKit server, with their ids where those are free, and remember what was taken.

The source's id of a thread stays known when the thread is deleted here, so that a repeated import does not restore it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chatkit.types import ClientToolCallItem, ThreadItem, ThreadMetadata
from sqlalchemy import BigInteger, Connection, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import items, threads
from chatkit_store.acting import for_all_users
from chatkit_store.columns import UtcDateTime, aware_utc
from chatkit_store.database import AnyRow, Database, insert_into
from chatkit_store.errors import IdClash, NotFound
from chatkit_store.ids import derived_id, new_id
from chatkit_store.owner import Owner, owned, owner_columns, owner_values
from chatkit_store.tables import imported_threads, thread_items
from chatkit_store.tables import threads as threads_table

m = imported_threads.c
t = threads_table.c
i = thread_items.c

OLDEST_POSITION = -(2**62)
"""The position of a thread that began in 1970. Those that begin here have positive ones, so they are listed later."""
PLACES = 2**20
"""Positions for the threads of one second."""
ATTEMPTS = 10


@dataclass(frozen=True)
class ImportedThread:
    """A thread of another server, and where it is here."""

    thread_id: str
    """Its id here."""
    last_item_id: str | None
    """The source's id of the last item that was taken over; None if none was."""
    is_deleted: bool
    """Whether the thread was deleted here since."""


class ImportStore:
    """Threads from elsewhere. An administrator calls it, and names the owner of each thread.

    Raises errors as `SqlStore` does. Each call is one short transaction and may be repeated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def find(self, source_id: str, owner: Owner) -> ImportedThread | None:
        """Return what was taken over of a thread, or None if nothing was."""
        values = {"source": source_id, **owner_values(owner)}
        row = await self._database.read(lambda c: c.execute(_FIND, values).one_or_none(), owner)
        return None if row is None else _imported(row)

    async def begin(self, source_id: str, thread: ThreadMetadata, owner: Owner) -> ImportedThread:
        """Insert a thread, under its id if that is free, and return where it is.

        If it was begun before, it only gets the title that it did not have yet.
        """
        row, dialect = threads.to_row(thread), self._database.dialect
        values = {"source": source_id, **owner_values(owner)}
        memo = {"source_id": source_id, **owner_columns(owner), "thread_id": thread.id}

        def work(connection: Connection) -> ImportedThread:
            is_new = connection.scalar(_memo(dialect), memo | {"imported_at": datetime.now(UTC)}) is not None
            if not is_new:
                connection.execute(_NAME, {**values, "title": row["title"]})
                return _imported(connection.execute(_FIND, values).one())
            thread_id = _insert_thread(connection, dialect, thread.id, row, owner)
            if thread_id != thread.id:
                connection.execute(_MOVE, {**values, "thread_id": thread_id})
            return ImportedThread(thread_id, None, is_deleted=False)

        return await self._database.write(work, owner)

    async def append(self, source_id: str, new: Sequence[ThreadItem], last_item_id: str | None, owner: Owner) -> int:
        """Append those items that the thread does not have yet; return how many that were.

        An id that is taken elsewhere is replaced by one that is derived from it. A client tool call that was waiting
        for its output gets it. `last_item_id` is the source's id that `find` returns from now on.
        Raises `NotFound` if the thread was not begun, or was deleted here.
        """
        dialect = self._database.dialect
        values = {"source": source_id, **owner_values(owner)}

        def work(connection: Connection) -> int:
            progress = {**values, "last_item_id": last_item_id, "imported_at": datetime.now(UTC)}
            thread_id: str | None = connection.scalar(_PROGRESS, progress)
            if thread_id is None:
                raise NotFound("Imported thread", source_id)
            last_position = _take_positions(connection, thread_id, new, owner)
            missing = _missing(connection, thread_id, new)
            rows = items.to_rows(thread_id, missing, None)
            items.put_items(connection, dialect, rows, last_position - len(new) + 1)
            return len(rows)

        try:
            return await self._database.write(work, owner)
        except IdClash:  # another thread took one of the ids after it was free
            return await self._database.write(work, owner)

    async def count_new(self, source_id: str, new: Sequence[ThreadItem], owner: Owner) -> int:
        """Return how many items `append` would add now: all if the thread was not begun."""
        values = {"source": source_id, **owner_values(owner)}

        def work(connection: Connection) -> int:
            row = connection.execute(_FIND, values).one_or_none()
            return len(new if row is None else _missing(connection, row.thread_id, new))

        return await self._database.read(work, owner)


def _imported(row: AnyRow) -> ImportedThread:
    return ImportedThread(row.thread_id, row.last_item_id, is_deleted=row.id is None)


def _insert_thread(connection: Connection, dialect: str, wanted_id: str, row: threads.Columns, owner: Owner) -> str:
    """Insert a thread at the position of its time, and return its id. Raises `IdClash` after several attempts."""
    thread_id, created_at = wanted_id, row["created_at"]
    first = OLDEST_POSITION + int(created_at.timestamp()) * PLACES
    for _ in range(ATTEMPTS):  # another import may take the position between the two statements
        with for_all_users(connection):
            last = connection.scalar(_LAST_PLACE, {"first": first, "end": first + PLACES})
        position = first if last is None else last + 1
        values = threads.new_row(thread_id, row, owner) | {"position": position, "updated_at": created_at}
        if connection.scalar(_insertion(dialect), values) is not None:
            return thread_id
        with for_all_users(connection):
            if connection.scalar(_TAKEN, {"thread": thread_id}) is not None:
                thread_id = new_id("thr")
    raise IdClash("Thread", wanted_id)


def _take_positions(connection: Connection, thread_id: str, new: Sequence[ThreadItem], owner: Owner) -> int:
    """Lock the thread, reserve a position for each item, and let the thread be as new as its newest item."""
    newest = max((aware_utc(item.created_at) for item in new), default=datetime.fromtimestamp(0, UTC))
    values = {"thread": thread_id, **owner_values(owner), "count": len(new), "newest": newest}
    last: int | None = connection.scalar(_TAKE_POSITIONS, values)
    if last is None:
        raise NotFound("Thread", thread_id)
    return last


def _missing(connection: Connection, thread_id: str, new: Sequence[ThreadItem]) -> list[ThreadItem]:
    """Return the items that the thread lacks, under ids that are free."""
    derived = {item.id: derived_id("imp", thread_id, item.id) for item in new}
    with for_all_users(connection):
        rows = connection.execute(_EXISTING, {"items": [*derived, *derived.values()]}).all()
    existing = {row.id: row for row in rows}
    missing: list[ThreadItem] = []
    for item in new:
        row = existing.get(item.id)
        if row is not None and row.thread_id != thread_id:
            item = item.model_copy(update={"id": derived[item.id]})
            row = existing.get(item.id)
        if row is None or _has_output_now(row, item):
            missing.append(item)
    return missing


def _has_output_now(row: AnyRow, item: ThreadItem) -> bool:
    """Return whether a saved call waits for the output that the source has by now."""
    if not isinstance(item, ClientToolCallItem) or item.status == "pending":
        return False
    saved = items.from_row(row)
    return isinstance(saved, ClientToolCallItem) and saved.status == "pending"


_MEMO = (m.source_id == bindparam("source"), owned(imported_threads))
_FIND = (
    select(m.thread_id, m.last_item_id, t.id).outerjoin_from(imported_threads, threads_table, t.id == m.thread_id)
).where(*_MEMO)
_MOVE = update(imported_threads).where(*_MEMO)  # sets the columns among the parameters
_PROGRESS = _MOVE.returning(m.thread_id)
_NAME = (
    update(threads_table)
    .where(
        t.id == select(m.thread_id).where(*_MEMO).scalar_subquery(),
        owned(threads_table),
        t.title.is_(None),
    )
    .values(title=bindparam("title", type_=t.title.type))
)
_LAST_PLACE = select(func.max(t.position)).where(
    t.position >= bindparam("first", type_=BigInteger), t.position < bindparam("end", type_=BigInteger)
)
_TAKEN = select(t.id).where(t.id == bindparam("thread"))
_TAKE_POSITIONS = (
    update(threads_table)
    .where(t.id == bindparam("thread"), owned(threads_table))
    .values(
        last_position=t.last_position + bindparam("count", type_=BigInteger),
        updated_at=case(
            (t.updated_at < bindparam("newest", type_=UtcDateTime), bindparam("newest", type_=UtcDateTime)),
            else_=t.updated_at,
        ),
    )
    .returning(t.last_position)
)
_EXISTING = select(i.id, i.thread_id, i.type, i.payload).where(i.id.in_(bindparam("items", expanding=True)))


@cache
def _memo(dialect: str) -> Any:
    keys = [m.source_id, m.user_id, m.tenant]
    return insert_into(imported_threads, dialect).on_conflict_do_nothing(index_elements=keys).returning(m.thread_id)


@cache
def _insertion(dialect: str) -> Any:
    """Insert a thread unless its id or its position is taken."""
    return insert_into(threads_table, dialect).on_conflict_do_nothing().returning(t.id)
