"""Remember for a day where deleted threads were in the list of all threads.

A script that deletes threads while it pages through them asks for the page behind a thread that it has just deleted.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select

from chatkit_store.acting import for_all_users
from chatkit_store.columns import UtcDateTime
from chatkit_store.database import insert_into
from chatkit_store.tables import deleted_threads, threads

KEPT = timedelta(days=1)

d = deleted_threads.c
t = threads.c


def keep_position(connection: Connection, thread_id: str) -> None:
    """Remember the position of a thread that is about to be deleted. Its row must be locked and its owner checked."""
    with for_all_users(connection):
        connection.execute(_keep(connection.dialect.name), {"thread": thread_id, "now": datetime.now(UTC)})


def forget_old(connection: Connection) -> None:
    """Forget the threads that were deleted more than a day ago."""
    connection.execute(_FORGET, {"before": datetime.now(UTC) - KEPT})


_id = bindparam("after", type_=t.id.type)
POSITION = func.coalesce(
    select(t.position).where(t.id == _id).scalar_subquery(),
    select(d.position).where(d.id == _id).scalar_subquery(),
)
"""The position of the thread `after`, also if it was deleted in the last day."""

_FORGET = delete(deleted_threads).where(d.deleted_at <= bindparam("before", type_=UtcDateTime))


@cache
def _keep(dialect: str) -> Any:
    now = bindparam("now", type_=UtcDateTime)
    insert = insert_into(deleted_threads, dialect).from_select(
        ["id", "position", "deleted_at"], select(t.id, t.position, now).where(t.id == bindparam("thread"))
    )
    changed = {"position": insert.excluded.position, "deleted_at": insert.excluded.deleted_at}
    return insert.on_conflict_do_update(index_elements=[d.id], set_=changed)
