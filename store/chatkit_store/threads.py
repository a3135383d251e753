"""Threads and their rows, and the column-wise save (T15)."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chatkit.types import ActiveStatus, ClosedStatus, LockedStatus, Page, Thread, ThreadMetadata, ThreadStatus
from sqlalchemy import Connection, bindparam, delete, select, update

from chatkit_store.columns import aware_utc, dump_json, load_json
from chatkit_store.database import AnyRow, Database, insert_into
from chatkit_store.errors import IdClash, NotFound
from chatkit_store.items import check_thread
from chatkit_store.owner import HasUser, owned
from chatkit_store.paging import Pages
from chatkit_store.tables import threads

logger = logging.getLogger(__name__)

t = threads.c
COLUMNS = (t.id, t.position, t.title, t.status, t.status_reason, t.allowed_image_domains, t.metadata, t.created_at)

Columns = Mapping[str, Any]


def to_row(thread: ThreadMetadata) -> dict[str, Any]:
    """The thread's own columns; a `Thread`'s items are left out (T12)."""
    domains = thread.allowed_image_domains
    return {
        "title": thread.title,
        "status": thread.status.type,
        "status_reason": getattr(thread.status, "reason", None),
        "allowed_image_domains": None if domains is None else dump_json(domains),
        "metadata": dump_json(thread.metadata),
        "created_at": aware_utc(thread.created_at),
    }


def from_row(row: AnyRow) -> ThreadMetadata:
    """The thread of a row with `COLUMNS`."""
    metadata = load_json(row.metadata)
    return ThreadMetadata(
        id=row.id,
        title=row.title,
        created_at=row.created_at,
        status=_status(row.id, row.status, row.status_reason),
        allowed_image_domains=load_json(row.allowed_image_domains),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _status(thread_id: str, status: str, reason: str | None) -> ThreadStatus:
    """The status by its name; one that a newer version wrote keeps the thread from changing, not from being read."""
    match status:
        case "active":
            return ActiveStatus()
        case "closed":
            return ClosedStatus(reason=reason)
        case "locked":
            return LockedStatus(reason=reason)
        case _:
            logger.warning("thread %s taken as locked: unknown status (%s)", thread_id, status)
            return LockedStatus(reason=reason)


def insert_thread(
    connection: Connection, dialect: str, thread_id: str, row: Columns, context: HasUser, last_position: int
) -> None:
    """Insert a thread with `last_position` positions taken. Raises `IdClash` where the id is known, whoever's it is."""
    if connection.scalar(_insertion(dialect), _new_row(thread_id, row, context, last_position)) is None:
        raise IdClash("Thread", thread_id)


async def save_thread(database: Database, thread: ThreadMetadata, context: HasUser) -> None:
    """Write what changed in an object this store knows, or all of one it does not; see `SqlStore.save_thread`."""
    baselines, row = database.baselines, to_row(thread)
    known = baselines.columns_of(thread)
    names = _told(thread, row) if known is None else [name for name, value in row.items() if value != known[name]]

    def work(connection: Connection) -> None:
        if known is None:
            _upsert(connection, database.dialect, thread.id, row, frozenset(names), context)
        else:
            _update(connection, thread.id, {name: row[name] for name in names}, context)

    baselines.doubt(thread, names)  # until it is written, and where it fails
    doubted = baselines.columns_of(thread)
    await database.write(work)
    if baselines.columns_of(thread) is doubted:
        baselines.remember(thread, row)
    else:  # another save of the object came between: nobody knows which of them was the last
        baselines.doubt(thread, names)


async def name_thread(database: Database, thread_id: str, title: str, context: HasUser, instead_of: str | None) -> bool:
    """Write the title where the thread still has the other one; see `SqlStore.name_thread`."""
    values = {"thread": thread_id, "owner": context.user_id, "new": title, "old": instead_of}

    def work(connection: Connection) -> bool:
        if connection.scalar(_NAME, {**values, "now": datetime.now(UTC)}) is not None:
            return True
        check_thread(connection, thread_id, context)
        return False

    return await database.write(work)


async def load_thread(database: Database, thread_id: str, context: HasUser) -> ThreadMetadata:
    """One thread, known from now on. Raises `NotFound`."""
    values = {"thread": thread_id, "owner": context.user_id}
    row = await database.read(lambda c: c.execute(_LOAD, values).one_or_none())
    if row is None:
        raise NotFound("Thread", thread_id)
    return _known(database, from_row(row))


async def load_page(
    database: Database, after: str | None, limit: int, order: str, context: HasUser
) -> Page[ThreadMetadata]:
    """A page of the user's threads, known from now on; see `SqlStore`."""

    def explain(connection: Connection) -> None:
        if after is not None:
            check_thread(connection, after, context)

    page = await _PAGES.load(database, {"owner": context.user_id}, after, limit, order, from_row, explain)
    for thread in page.data:
        _known(database, thread)
    return page


def _known(database: Database, thread: ThreadMetadata) -> ThreadMetadata:
    """Note what the object holds, now that it was read."""
    database.baselines.remember(thread, to_row(thread))
    return thread


def _update(connection: Connection, thread_id: str, changed: Columns, context: HasUser) -> None:
    """One UPDATE, also of nothing: it finds out whether the thread is still there and whose it is."""
    values: dict[str, Any] = {"thread": thread_id, "owner": context.user_id}
    if changed:
        found = connection.scalar(_UPDATE, {**values, **changed, "updated_at": datetime.now(UTC)})
    else:
        found = connection.scalar(_TOUCH, values)
    if found is None:
        raise NotFound("Thread", thread_id)


def _upsert(
    connection: Connection, dialect: str, thread_id: str, row: Columns, told: frozenset[str], context: HasUser
) -> None:
    values = {**_new_row(thread_id, row, context), "owner": context.user_id}
    if connection.scalar(_upsertion(dialect, told), values) is None:
        raise IdClash("Thread", thread_id)


def _told(thread: ThreadMetadata, row: Columns) -> frozenset[str]:
    """The columns that an unknown object changes in a thread that exists: all but its birth.

    A `Thread` only counts where it differs from a new one: chatkit makes a fresh `Thread`, saves a copy of it, gives
    the original to `respond` and saves that at the end, when its empty title may long be outdated (T15).
    """
    new = to_row(ThreadMetadata(id=thread.id, created_at=thread.created_at)) if isinstance(thread, Thread) else {}
    return frozenset(name for name, value in row.items() if name != "created_at" and (not new or value != new[name]))


def _new_row(thread_id: str, row: Columns, context: HasUser, last_position: int = 0) -> dict[str, Any]:
    own = {"id": thread_id, "user_id": context.user_id, "last_position": last_position, "updated_at": datetime.now(UTC)}
    return {**row, **own}


_ONE = (t.id == bindparam("thread"), owned(threads))
_LOAD = select(*COLUMNS).where(*_ONE)
_UPDATE = update(threads).where(*_ONE).returning(t.id)  # sets the columns that are among the parameters
_NAME = (
    update(threads)
    .where(*_ONE, t.title.is_not_distinct_from(bindparam("old", type_=t.title.type)))
    .values(title=bindparam("new", type_=t.title.type), updated_at=bindparam("now", type_=t.updated_at.type))
    .returning(t.id)
)
_TOUCH = _UPDATE.values(updated_at=t.updated_at)
_PAGES = Pages(
    select(*COLUMNS).where(owned(threads)),
    t.position,
    select(t.position).where(t.id == bindparam("after"), owned(threads)).scalar_subquery(),
)

DELETION = delete(threads).where(*_ONE).returning(t.id)
"""Deletes one `thread`."""


@cache
def _insertion(dialect: str) -> Any:
    return insert_into(threads, dialect).on_conflict_do_nothing(index_elements=[t.id]).returning(t.id)


@cache
def _upsertion(dialect: str, told: frozenset[str]) -> Any:
    """Insert a thread, or change the columns `told` of the one that is there."""
    insert = insert_into(threads, dialect)
    changed = {name: insert.excluded[name] for name in sorted({*told, "updated_at"})}
    return insert.on_conflict_do_update(index_elements=[t.id], set_=changed, where=owned(threads)).returning(t.id)
