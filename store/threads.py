"""Threads and their rows, and the column-wise save (T15)."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chatkit.types import ActiveStatus, ClosedStatus, LockedStatus, Thread, ThreadMetadata, ThreadStatus
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from store.columns import aware_utc, dump_json, load_json
from store.database import AnyRow, Database
from store.errors import IdClash, NotFound
from store.owner import HasUser, owned
from store.tables import threads

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


async def insert_thread(
    connection: AsyncConnection, database: Database, thread: ThreadMetadata, context: HasUser, last_position: int = 0
) -> None:
    """Insert a thread with `last_position` positions taken. Raises `IdClash` where the id is known, whoever's it is."""
    insert = database.insert(threads).values(_new_row(thread, context, last_position))
    made = await connection.scalar(insert.on_conflict_do_nothing(index_elements=[t.id]).returning(t.id))
    if made is None:
        raise IdClash("Thread", thread.id)


async def save_thread(
    connection: AsyncConnection, database: Database, thread: ThreadMetadata, context: HasUser
) -> None:
    """Write what changed in an object this store knows, or all of one it does not; see `SqlStore.save_thread`."""
    row, known = to_row(thread), database.baselines.columns_of(thread)
    if known is not None:
        changed = {name: value for name, value in row.items() if value != known[name]}
        await _update(connection, thread.id, changed, context)
    else:
        await _upsert(connection, database, thread, row, context)


def remember(database: Database, thread: ThreadMetadata) -> ThreadMetadata:
    """Note what the object holds, now that the row holds it too; call it after the transaction."""
    database.baselines.remember(thread, to_row(thread))
    return thread


async def _update(connection: AsyncConnection, thread_id: str, changed: Columns, context: HasUser) -> None:
    """One UPDATE, also of nothing: it finds out whether the thread is still there and whose it is."""
    values: dict[str, Any] = {**changed, "updated_at": datetime.now(UTC)} if changed else {"updated_at": t.updated_at}
    statement = update(threads).where(t.id == thread_id, owned(threads, context)).values(values).returning(t.id)
    if await connection.scalar(statement) is None:
        raise NotFound("Thread", thread_id)


async def _upsert(
    connection: AsyncConnection, database: Database, thread: ThreadMetadata, row: Columns, context: HasUser
) -> None:
    insert = database.insert(threads).values(_new_row(thread, context))
    statement = insert.on_conflict_do_update(
        index_elements=[t.id],
        set_={**_told(thread, row), "updated_at": insert.excluded.updated_at},
        where=owned(threads, context),
    )
    if await connection.scalar(statement.returning(t.id)) is None:
        raise IdClash("Thread", thread.id)


def _told(thread: ThreadMetadata, row: Columns) -> Columns:
    """What an unknown object says of a thread that exists: everything but its birth.

    A `Thread` only counts where it differs from a new one: chatkit makes a fresh `Thread`, saves a copy of it, gives
    the original to `respond` and saves that at the end, when its empty title may long be outdated (T15).
    """
    new = to_row(ThreadMetadata(id=thread.id, created_at=thread.created_at)) if isinstance(thread, Thread) else {}
    return {name: value for name, value in row.items() if name != "created_at" and (not new or value != new[name])}


def _new_row(thread: ThreadMetadata, context: HasUser, last_position: int = 0) -> dict[str, Any]:
    own = {"id": thread.id, "user_id": context.user_id, "last_position": last_position, "updated_at": datetime.now(UTC)}
    return to_row(thread) | own


def find_thread(thread_id: str, context: HasUser) -> Any:
    """Select one thread of the user."""
    return select(*COLUMNS).where(t.id == thread_id, owned(threads, context))
