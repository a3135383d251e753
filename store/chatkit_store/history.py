"""Load the model's history of a thread: items, newest first, and their turns with transcripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chatkit.types import ThreadItem
from sqlalchemy import BigInteger, Connection, bindparam, func, select, union_all

from chatkit_store.columns import UtcDateTime, load_json
from chatkit_store.database import AnyRow, Database
from chatkit_store.items import check_thread, from_row
from chatkit_store.notices import IS_PART
from chatkit_store.owner import HasUser, checked, owned, owner_values
from chatkit_store.paging import PAGE_BYTES, limit_bytes, rows_within
from chatkit_store.tables import thread_items, turns

i = thread_items.c
t = turns.c


@dataclass(frozen=True)
class HistoryItem:
    """An item, hidden or not; `turn_id` is the turn that first wrote it."""

    item: ThreadItem
    turn_id: str | None


@dataclass(frozen=True)
class PastTurn:
    """The part of a turn that a history needs; `transcript` is plain JSON, or None if none was saved."""

    id: str
    user_item_id: str | None
    status: str
    started_at: datetime
    transcript: Any


class HistoryCursor(NamedTuple):
    """The start of a page: the position of its oldest item, and the earliest time of its items."""

    position: int
    created_at: datetime


@dataclass(frozen=True)
class HistoryPage:
    """Items, newest first, and turns, oldest first; `before` is the cursor of the next page, None on the last one.

    The turns are those that wrote or answered the items, and those of the same period that no user message started:
    such a turn may have shown no item at all.
    """

    items: list[HistoryItem]
    turns: list[PastTurn]
    before: HistoryCursor | None


BEGINNING = datetime.min.replace(tzinfo=UTC)
FROM_THE_END = HistoryCursor(2**62, datetime.max.replace(tzinfo=UTC))

_ITEMS = {
    "sqlite": select(i.id, i.position, i.type, i.payload, i.turn_id, i.created_at)
    .where(
        i.replaced_by.is_(None),
        i.position < bindparam("before", type_=BigInteger),
        IS_PART,
        owned(thread_items),
    )
    .order_by(i.position.desc())
    .limit(bindparam("count", type_=BigInteger))
}
_ITEMS["postgresql"] = limit_bytes(_ITEMS["sqlite"], i.position.desc(), [i.payload])
_TURN_IDS = union_all(  # one index for each, which OR would not use
    select(t.id).where(t.id.in_(bindparam("ids", expanding=True))),
    select(t.id).where(t.user_item_id.in_(bindparam("messages", expanding=True))),
    select(t.id).where(
        t.thread_id == bindparam("thread"),
        t.user_item_id.is_(None),
        t.transcript.is_not(None),
        t.started_at >= bindparam("since", type_=UtcDateTime),
        t.started_at < bindparam("until", type_=UtcDateTime),
    ),
)
_TURNS = (
    select(t.id, t.user_item_id, t.status, t.started_at, t.transcript)
    .where(t.id.in_(_TURN_IDS), func.coalesce(t.thread_id, "") == bindparam("thread"), checked(turns))
    .order_by(t.started_at, t.id)
)


async def load_page(
    database: Database, thread_id: str, before: HistoryCursor | None, limit: int, context: HasUser
) -> HistoryPage:
    """Return a page of the history without replaced items, of up to `limit` items or about PAGE_BYTES.

    Raises `NotFound` if the thread is not the user's.
    """
    owner = {"thread": thread_id, **owner_values(context)}
    end = before or FROM_THE_END

    def work(connection: Connection) -> tuple[list[AnyRow], list[AnyRow], HistoryCursor | None]:
        with connection.execute(_ITEMS[database.dialect], owner | {"before": end.position, "count": limit}) as result:
            rows, is_cut = rows_within(result, PAGE_BYTES)
        if not rows:
            check_thread(connection, thread_id, context)
            return [], [], None
        start = _cursor(rows) if is_cut or len(rows) == limit else None
        period = {
            "ids": list({row.turn_id for row in rows if row.turn_id is not None}),
            "messages": [row.id for row in rows if row.type == "user_message"],
            "since": BEGINNING if start is None else start.created_at,
            "until": end.created_at,
        }
        return rows, list(connection.execute(_TURNS, owner | period).all()), start

    rows, turn_rows, before_these = await database.read(work, context)
    return HistoryPage(
        items=[HistoryItem(item, row.turn_id) for row in rows if (item := from_row(row)) is not None],
        turns=[_turn(row) for row in turn_rows],
        before=before_these,
    )


def _cursor(rows: Sequence[AnyRow]) -> HistoryCursor:
    return HistoryCursor(rows[-1].position, min(row.created_at for row in rows))


def _turn(row: AnyRow) -> PastTurn:
    columns = dict(row._mapping)
    return PastTurn(**columns | {"transcript": load_json(columns["transcript"])})
