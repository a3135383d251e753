"""Convert threads to rows and back, load them, and save only the columns that changed (T15)."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from chatkit.types import ActiveStatus, ClosedStatus, LockedStatus, Page, Thread, ThreadMetadata, ThreadStatus
from sqlalchemy import BigInteger, Connection, bindparam, delete, func, literal, or_, select, update

from chatkit_store import deleted_threads, limits
from chatkit_store.columns import aware_utc, dump_json, load_json
from chatkit_store.database import AnyRow, Database, insert_into
from chatkit_store.errors import IdClash, NotFound
from chatkit_store.items import HAS_WAITING, check_thread, take_positions
from chatkit_store.loop_connection import is_short
from chatkit_store.owner import HasUser, owned, owner_columns, owner_values
from chatkit_store.paging import Pages
from chatkit_store.tables import threads

logger = logging.getLogger(__name__)

t = threads.c
COLUMNS = (t.id, t.position, t.title, t.status, t.status_reason, t.allowed_image_domains, t.metadata, t.created_at)

LOWEST = -(2**63)
"""No position is lower: those of imported threads are negative (`imports`)."""

Columns = Mapping[str, Any]


class ThreadState(NamedTuple):
    """A thread, and whether it waits for its user."""

    thread: ThreadMetadata
    position: int
    """Its last position, as that of `items.Recent`."""
    may_wait: bool
    """Whether one of the items after the last user message is of a type that can wait for the user."""


def to_row(thread: ThreadMetadata) -> dict[str, Any]:
    """Return the thread's columns, without the items that a `Thread` has."""
    domains = thread.allowed_image_domains
    return {
        "title": thread.title,
        "status": thread.status.type,
        "status_reason": None if isinstance(thread.status, ActiveStatus) else thread.status.reason,
        "allowed_image_domains": None if domains is None else dump_json(domains),
        "metadata": dump_json(thread.metadata),
        "created_at": aware_utc(thread.created_at),
    }


def from_row(row: AnyRow) -> ThreadMetadata:
    """Return the thread of a row with `COLUMNS`."""
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
    """Return the status by name; a thread with an unknown status, from a newer version, is read as locked."""
    match status:
        case "active":
            return ActiveStatus()
        case "closed":
            return ClosedStatus(reason=reason)
        case "locked":
            return LockedStatus(reason=reason)
        case _:
            logger.warning("thread %s treated as locked: unknown status (%s)", thread_id, status)
            return LockedStatus(reason=reason)


def insert_thread(
    connection: Connection, dialect: str, thread_id: str, row: Columns, context: HasUser, last_position: int
) -> None:
    """Insert a thread with `last_position` positions taken. Raises `IdClash` if any user has a thread with the id."""
    if connection.scalar(_insertion(dialect), new_row(thread_id, row, context, last_position)) is None:
        raise IdClash("Thread", thread_id)


async def save_thread(database: Database, thread: ThreadMetadata, context: HasUser) -> None:
    """Write the columns that changed since the object's baseline, or all of them if it has none."""
    baselines, row = database.baselines, to_row(thread)
    saved = baselines.columns_of(thread)
    names = _own_columns(thread, row) if saved is None else [name for name in row if row[name] != saved[name]]

    def work(connection: Connection) -> None:
        if saved is None:
            _upsert(connection, database.dialect, thread.id, row, frozenset(names), context)
        else:
            _update(connection, thread.id, {name: row[name] for name in names}, context)

    baselines.mark_unknown(thread, names)  # until they are written, and for good if that fails
    unknown = baselines.columns_of(thread)
    await database.write(work, context)
    if baselines.columns_of(thread) is unknown:
        baselines.remember(thread, row)
    else:  # a concurrent save of the same object: either may have been committed last
        baselines.mark_unknown(thread, names)


async def name_thread(
    database: Database, thread_id: str, title: str, context: HasUser, instead_of: str | None
) -> ThreadMetadata | None:
    """Set the title if it is still `instead_of`, and return the thread; else return None. Raises `NotFound`.

    Idempotent: a thread that has the title already is returned, too.
    """
    values = {"thread": thread_id, **owner_values(context), "new": title, "old": instead_of, "now": datetime.now(UTC)}

    def work(connection: Connection) -> Any:
        row = connection.execute(_NAME, values).one_or_none()
        if row is None:
            check_thread(connection, thread_id, context)
        return row

    rows = await database.write_at_once(_NAME, values, context, may_repeat=True) if database.writes_at_once else ()
    row = rows[0] if rows else await database.write(work, context, is_short=is_short(title))
    return None if row is None else _remember(database, from_row(row))


def delete_thread(connection: Connection, thread_id: str, context: HasUser) -> None:
    """Delete a thread and all that belongs to it, but keep what limits count and its position. Raises `NotFound`."""
    take_positions(connection, thread_id, 0, context)  # locks it: no turn may start between the copy and the deletion
    limits.keep_deleted(connection, thread_id, context)
    deleted_threads.keep_position(connection, thread_id)
    connection.execute(_DELETE, {"thread": thread_id, **owner_values(context)})


async def load_thread(database: Database, thread_id: str, context: HasUser) -> ThreadMetadata:
    """Return one thread and set its baseline. Raises `NotFound`."""
    values = {"thread": thread_id, **owner_values(context)}
    row = await database.read(lambda c: c.execute(_LOAD, values).one_or_none(), context, is_short=True)
    if row is None:
        raise NotFound("Thread", thread_id)
    return _remember(database, from_row(row))


async def load_state(database: Database, thread_id: str, context: HasUser) -> ThreadState:
    """Return what a message to the thread depends on, by one statement. Raises `NotFound`."""
    values = {"thread": thread_id, **owner_values(context)}
    rows: Any = None
    if database.writes_at_once:  # for half the CPU
        rows = await database.write_at_once(_LOAD_STATE, values, context, may_repeat=True)
    if rows is None:
        rows = await database.read(lambda c: c.execute(_LOAD_STATE, values).all(), context, is_short=True)
    if not rows:
        raise NotFound("Thread", thread_id)
    row = rows[0]
    return ThreadState(_remember(database, from_row(row)), row.last_position, row.may_wait)


async def load_page(
    database: Database, after: str | None, limit: int, order: str, context: HasUser, newest: int | None = None
) -> Page[ThreadMetadata]:
    """Return a page of the user's threads and set their baselines. Raises `NotFound` for an unknown `after`.

    `newest` leaves out all threads but that many of the newest, on all pages.
    """
    pages, values = _PAGES, dict[str, Any](owner_values(context))
    if newest is not None:
        pages, values = _NEWEST_PAGES, values | {"older": newest - 1}

    def explain(connection: Connection) -> None:
        if after is not None:
            check_thread(connection, after, context)

    page = await pages.load(database, context, values, after, limit, order, from_row, explain)
    for thread in page.data:
        _remember(database, thread)
    return page


def _remember(database: Database, thread: ThreadMetadata) -> ThreadMetadata:
    database.baselines.remember(thread, to_row(thread))
    return thread


def _update(connection: Connection, thread_id: str, changed: Columns, context: HasUser) -> None:
    """Run one UPDATE even if nothing changed, to check that the thread exists and is the user's."""
    values: dict[str, Any] = {"thread": thread_id, **owner_values(context)}
    if changed:
        updated_id = connection.scalar(_UPDATE, {**values, **changed, "updated_at": datetime.now(UTC)})
    else:
        updated_id = connection.scalar(_TOUCH, values)
    if updated_id is None:
        raise NotFound("Thread", thread_id)


def _upsert(
    connection: Connection, dialect: str, thread_id: str, row: Columns, names: frozenset[str], context: HasUser
) -> None:
    values = {**new_row(thread_id, row, context), **owner_values(context)}
    if connection.scalar(_upsertion(dialect, names), values) is None:
        raise IdClash("Thread", thread_id)


def _own_columns(thread: ThreadMetadata, row: Columns) -> frozenset[str]:
    """Return the columns that an object without a baseline changes in an existing thread: all but `created_at`.

    Of a `Thread`, only those that differ from a new one. chatkit creates a `Thread`, saves a copy of it, passes the
    original to `respond` and saves that at the end, when its empty title may be long outdated (T15).
    """
    new = to_row(ThreadMetadata(id=thread.id, created_at=thread.created_at)) if isinstance(thread, Thread) else {}
    return frozenset(name for name, value in row.items() if name != "created_at" and (not new or value != new[name]))


def new_row(thread_id: str, row: Columns, context: HasUser, last_position: int = 0) -> dict[str, Any]:
    """Return all columns of a new thread but its position."""
    return {
        **row,
        "id": thread_id,
        **owner_columns(context),
        "last_position": last_position,
        "updated_at": datetime.now(UTC),
    }


_ONE = (t.id == bindparam("thread"), owned(threads))
_LOAD = select(*COLUMNS).where(*_ONE)
_LOAD_STATE = select(*COLUMNS, t.last_position, HAS_WAITING.label("may_wait")).where(*_ONE)
_UPDATE = update(threads).where(*_ONE).returning(t.id)  # sets the columns among the parameters
_NEW_TITLE = bindparam("new", type_=t.title.type)
_NAME = (
    update(threads)
    .where(*_ONE, or_(t.title.is_not_distinct_from(bindparam("old", type_=t.title.type)), t.title == _NEW_TITLE))
    .values(title=_NEW_TITLE, updated_at=bindparam("now", type_=t.updated_at.type))
    .returning(*COLUMNS)
)
_TOUCH = _UPDATE.values(updated_at=t.updated_at)
_CURSOR = select(t.position).where(t.id == bindparam("after"), owned(threads)).scalar_subquery()
LARGE = (t.title, t.metadata, t.allowed_image_domains, t.status_reason)
_PAGES = Pages(select(*COLUMNS).where(owned(threads)), t.position, _CURSOR, LARGE)
_OLDEST_OF_NEWEST = (
    select(t.position)
    .where(owned(threads))
    .order_by(t.position.desc())
    .limit(1)
    .offset(bindparam("older", type_=BigInteger))
    .correlate(None)
    .scalar_subquery()
)
_NEWEST_PAGES = Pages(
    select(*COLUMNS).where(owned(threads), t.position >= func.coalesce(_OLDEST_OF_NEWEST, literal(LOWEST, BigInteger))),
    t.position,
    _CURSOR,
    LARGE,
)

_DELETE = delete(threads).where(*_ONE)


@cache
def _insertion(dialect: str) -> Any:
    return insert_into(threads, dialect).on_conflict_do_nothing(index_elements=[t.id]).returning(t.id)


@cache
def _upsertion(dialect: str, names: frozenset[str]) -> Any:
    """Insert a thread, or update the columns `names` of an existing one."""
    insert = insert_into(threads, dialect)
    changed = {name: insert.excluded[name] for name in sorted({*names, "updated_at"})}
    return insert.on_conflict_do_update(index_elements=[t.id], set_=changed, where=owned(threads)).returning(t.id)
