"""A thread as a model is told it: items with the turns that wrote them, newest first, and those turns' transcripts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatkit.types import ThreadItem
from sqlalchemy import BigInteger, Connection, bindparam, or_, select

from store.columns import load_json
from store.database import AnyRow, Database
from store.items import check_thread, from_row
from store.owner import HasUser, owned
from store.tables import thread_items, turns

FROM_THE_END = 2**62

i = thread_items.c
t = turns.c


@dataclass(frozen=True)
class HistoryItem:
    """An item, hidden or not; `turn_id` names the turn that first wrote it."""

    item: ThreadItem
    turn_id: str | None


@dataclass(frozen=True)
class PastTurn:
    """What a history has to know of a turn; `transcript` is plain JSON, None where nothing was kept."""

    id: str
    user_item_id: str | None
    status: str
    started_at: datetime
    transcript: Any


@dataclass(frozen=True)
class HistoryPage:
    """Items from the newest to older ones, and the turns that wrote them or answered them, oldest first.

    `before` gets the next page; None at the thread's beginning.
    """

    items: list[HistoryItem]
    turns: list[PastTurn]
    before: int | None


_ITEMS = (
    select(i.id, i.position, i.type, i.payload, i.turn_id)
    .where(
        i.thread_id == bindparam("thread"),
        i.replaced_by.is_(None),
        i.position < bindparam("before", type_=BigInteger),
        owned(thread_items),
    )
    .order_by(i.position.desc())
    .limit(bindparam("count", type_=BigInteger))
)
_TURNS = (
    select(t.id, t.user_item_id, t.status, t.started_at, t.transcript)
    .where(
        t.thread_id == bindparam("thread"),
        or_(t.id.in_(bindparam("ids", expanding=True)), t.user_item_id.in_(bindparam("messages", expanding=True))),
        owned(turns),
    )
    .order_by(t.started_at, t.id)
)


async def load_page(
    database: Database, thread_id: str, before: int | None, limit: int, context: HasUser
) -> HistoryPage:
    """A page of the thread's history without replaced items. Raises `NotFound` for a thread that is not the user's."""
    owner = {"thread": thread_id, "owner": context.user_id}

    def work(connection: Connection) -> tuple[list[AnyRow], list[AnyRow]]:
        page = {"before": FROM_THE_END if before is None else before, "count": limit}
        rows = list(connection.execute(_ITEMS, owner | page).all())
        if not rows:
            check_thread(connection, thread_id, context)
            return [], []
        ids = {row.turn_id for row in rows if row.turn_id is not None}
        messages = [row.id for row in rows if row.type == "user_message"]
        return rows, list(connection.execute(_TURNS, owner | {"ids": list(ids), "messages": messages}).all())

    rows, past = await database.read(work)
    return HistoryPage(
        items=[HistoryItem(item, row.turn_id) for row in rows if (item := from_row(row)) is not None],
        turns=[_turn(row) for row in past],
        before=rows[-1].position if len(rows) == limit else None,
    )


def _turn(row: AnyRow) -> PastTurn:
    columns = dict(row._mapping)
    return PastTurn(**columns | {"transcript": load_json(columns["transcript"])})
