"""Save votes on items: one row per item and user."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chatkit.types import FeedbackKind
from sqlalchemy import Connection, bindparam, select

from chatkit_store.database import insert_into
from chatkit_store.errors import NotFound
from chatkit_store.ids import new_id
from chatkit_store.items import take_positions
from chatkit_store.notices import is_notice_id
from chatkit_store.owner import HasUser, owned, owner_values
from chatkit_store.tables import feedback, thread_items

f = feedback.c
i = thread_items.c


def write_votes(
    connection: Connection,
    dialect: str,
    thread_id: str,
    item_ids: Sequence[str],
    kind: FeedbackKind,
    context: HasUser,
) -> None:
    """Write all votes. Raises `NotFound`, and writes none, if an id is not a visible item of the thread.

    Items that a retry replaced can be voted on, because another tab may still show them. Notices get no vote, though
    the widget sends their ids, too.
    """
    take_positions(connection, thread_id, 0, context)
    values = {"thread": thread_id, **owner_values(context), "vote": kind, "now": datetime.now(UTC)}
    for item_id in dict.fromkeys(item_id for item_id in item_ids if not is_notice_id(item_id)):
        if connection.scalar(_vote(dialect), {**values, "item": item_id, "new": new_id("fbk")}) is None:
            raise NotFound("Item", item_id)


@cache
def _vote(dialect: str) -> Any:
    """Return the upsert of one vote, which selects from its item: without the item it writes no row."""
    row = {
        f.id: bindparam("new", type_=f.id.type),
        f.thread_id: i.thread_id,
        f.item_id: i.id,
        f.tenant: bindparam("owner_tenant", type_=f.tenant.type),
        f.user_id: bindparam("owner", type_=f.user_id.type),
        f.turn_id: i.turn_id,
        f.kind: bindparam("vote", type_=f.kind.type),
        f.created_at: bindparam("now", type_=f.created_at.type),
        f.updated_at: bindparam("now", type_=f.updated_at.type),
    }
    item = select(*row.values()).where(i.id == bindparam("item"), ~i.hidden, owned(thread_items))
    insert = insert_into(feedback, dialect).from_select(list(row), item)
    changed = {"kind": insert.excluded.kind, "updated_at": insert.excluded.updated_at}
    return insert.on_conflict_do_update(index_elements=[f.item_id, f.user_id], set_=changed).returning(f.id)
