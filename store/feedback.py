"""Votes on items: one row per item and user."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from chatkit.types import FeedbackKind
from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.errors import NotFound
from store.ids import new_id
from store.items import take_positions
from store.owner import HasUser, owned
from store.tables import feedback, thread_items

f = feedback.c


async def write_votes(
    connection: AsyncConnection,
    database: Database,
    thread_id: str,
    item_ids: Sequence[str],
    kind: FeedbackKind,
    context: HasUser,
) -> None:
    """Write all votes; raises `NotFound` for the first id that is no item of the thread."""
    await take_positions(connection, thread_id, 0, context)
    for item_id in item_ids:
        if await connection.scalar(_vote(database, thread_id, item_id, kind, context)) is None:
            raise NotFound("Item", item_id)


def _vote(database: Database, thread_id: str, item_id: str, kind: FeedbackKind, context: HasUser) -> Any:
    """Insert or change one vote, out of the item it is on: no item, no row."""
    i, now = thread_items.c, literal(datetime.now(UTC), f.created_at.type)
    item = select(
        literal(new_id("fbk")), i.thread_id, i.id, literal(context.user_id), i.turn_id, literal(kind), now, now
    ).where(i.id == item_id, i.thread_id == thread_id, owned(thread_items, context))
    columns = [f.id, f.thread_id, f.item_id, f.user_id, f.turn_id, f.kind, f.created_at, f.updated_at]
    insert = database.insert(feedback).from_select(columns, item)
    changed = {"kind": insert.excluded.kind, "updated_at": insert.excluded.updated_at}
    return insert.on_conflict_do_update(index_elements=[f.item_id, f.user_id], set_=changed).returning(f.id)
