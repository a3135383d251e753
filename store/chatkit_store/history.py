"""Load the model's history of a thread: items, newest first, and their turns with transcripts.

A page tells which part of the thread it has, and which version of its history that was (`HistoryWindow`). A read that
continues after a window gets the version of now in the statement that reads the new items, and so learns whether
anything was changed since (`history_versions.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from chatkit.types import ThreadItem
from sqlalchemy import BigInteger, Connection, Select, Text, bindparam, case, cast, func, or_, select, union_all

from chatkit_store.columns import UtcDateTime, load_json
from chatkit_store.database import AnyRow, Database
from chatkit_store.items import check_thread, from_row
from chatkit_store.notices import IS_PART
from chatkit_store.owner import HasUser, checked, owned, owner_values
from chatkit_store.paging import PAGE_BYTES, limit_bytes, rows_within
from chatkit_store.tables import thread_items, threads, turns

i = thread_items.c
t = turns.c


@dataclass(frozen=True)
class HistoryItem:
    """An item, hidden or not; `turn_id` is the turn that first wrote it."""

    item: ThreadItem
    turn_id: str | None
    position: int


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
class HistoryWindow:
    """The part of a thread before a user message: the items at `position < high`, and the turns of
    `started_at < until`, none of which runs. `version` is that of the history when they were read, or before."""

    high: int
    until: datetime
    version: str


@dataclass(frozen=True)
class HistoryPage:
    """Items, newest first, and turns, oldest first; `before` is the cursor of the next page, None on the last one.

    The turns are those that wrote or answered the items, and those of the same period that no user message started:
    such a turn may have shown no item at all.

    `window` is the part of the thread before the last user message, as of the newest page; older pages have none, and
    so has a thread without such a message, or one that no turn answers. `continues` tells that the page has everything
    after the window `after` of its request, which is unchanged.
    """

    items: list[HistoryItem]
    turns: list[PastTurn]
    before: HistoryCursor | None
    window: HistoryWindow | None = None
    continues: bool = False


BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
LOWEST, HIGHEST = -(2**62), 2**62
FROM_THE_END = HistoryCursor(HIGHEST, END)

_IS_REMEMBERED = (i.replaced_by.is_(None), IS_PART, owned(thread_items))
_NEWEST_FIRST = i.position.desc()


def _position(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


def _started(since: str, until: str) -> tuple[Any, ...]:
    moments = (bindparam(name, type_=UtcDateTime) for name in (since, until))
    first, last = moments
    return t.thread_id == bindparam("thread"), t.started_at >= first, t.started_at < last


@cache
def _items(dialect: str) -> Select[Any]:
    """Return the statement for the items of a page, with the version of the thread's history in each row."""
    # A thread that was deleted may be made again with its id, but never at its position.
    number = cast(threads.c.position, Text) + " " + cast(threads.c.history_version, Text)
    version = select(number).where(threads.c.id == bindparam("thread"))
    label = version.correlate(None).scalar_subquery().label("version")
    columns = [i.id, i.position, i.type, i.payload, i.turn_id, i.created_at, label]
    is_new = i.position < _position("before"), i.position >= _position("after")
    query = select(*columns).where(*_IS_REMEMBERED, *is_new).order_by(_NEWEST_FIRST).limit(_position("count"))
    return query if dialect == "sqlite" else limit_bytes(query, _NEWEST_FIRST, [i.payload])


@cache
def _turns() -> Select[Any]:
    ids: Any = bindparam("ids", expanding=True)
    messages: Any = bindparam("messages", expanding=True)
    turn_ids = union_all(  # one index for each, which OR would not use
        select(t.id).where(t.id.in_(ids)),
        select(t.id).where(t.user_item_id.in_(messages)),
        select(t.id).where(*_started("since", "until")),
    )
    is_of_page = or_(t.user_item_id.is_(None), t.id.in_(ids), t.user_item_id.in_(messages))
    transcript = case((is_of_page, t.transcript)).label("transcript")
    columns = [t.id, t.user_item_id, t.status, t.started_at, transcript, is_of_page.label("is_of_page")]
    return (
        select(*columns)
        .where(t.id.in_(turn_ids), func.coalesce(t.thread_id, "") == bindparam("thread"), checked(turns))
        .order_by(t.started_at, t.id)
    )


async def load_page(
    database: Database,
    thread_id: str,
    before: HistoryCursor | None,
    limit: int,
    context: HasUser,
    after: HistoryWindow | None = None,
) -> HistoryPage:
    """Return a page of the history without replaced items, of up to `limit` items or about PAGE_BYTES.

    With `after`, the page has only what follows that window. Raises `NotFound` if the thread is not the user's.
    """
    owner = {"thread": thread_id, **owner_values(context)}
    end = before or FROM_THE_END
    values: dict[str, Any] = {**owner, "before": end.position, "count": limit}
    values["after"] = LOWEST if after is None else after.high
    first = HistoryCursor(LOWEST, BEGINNING) if after is None else HistoryCursor(after.high, after.until)

    def work(connection: Connection) -> tuple[list[AnyRow], list[AnyRow], HistoryCursor | None]:
        with connection.execute(_items(database.dialect), values) as result:
            rows, is_cut = rows_within(result, PAGE_BYTES)
        if not rows:
            check_thread(connection, thread_id, context)
            return [], [], None
        start = _cursor(rows) if is_cut or len(rows) == limit else None
        period = {
            "ids": list({row.turn_id for row in rows if row.turn_id is not None}),
            "messages": [row.id for row in rows if row.type == "user_message"],
            "since": (start or first).created_at,
            "until": end.created_at,
        }
        return rows, list(connection.execute(_turns(), owner | period).all()), start

    rows, turn_rows, before_these = await database.read(work, context)
    return HistoryPage(
        items=[HistoryItem(item, row.turn_id, row.position) for row in rows if (item := from_row(row)) is not None],
        turns=[_turn(row) for row in turn_rows if row.is_of_page],
        before=before_these,
        window=_window(rows, turn_rows, before_these or first) if before is None else None,
        continues=after is not None and before_these is None and _is_unchanged(rows, turn_rows, after),
    )


def _cursor(rows: Sequence[AnyRow]) -> HistoryCursor:
    return HistoryCursor(rows[-1].position, min(row.created_at for row in rows))


def _window(rows: Sequence[AnyRow], turn_rows: Sequence[AnyRow], start: HistoryCursor) -> HistoryWindow | None:
    """Return the part before the last user message, unless later changes of it may not give another version."""
    message = next((row for row in rows if row.type == "user_message"), None)
    if message is None:
        return None
    until: datetime = max(message.created_at, start.created_at)
    is_answered = any(row.started_at >= until for row in turn_rows)
    if not is_answered or any(row.status == "running" and row.started_at < until for row in turn_rows):
        return None
    return HistoryWindow(message.position, until, message.version)


def _is_unchanged(rows: Sequence[AnyRow], turn_rows: Sequence[AnyRow], window: HistoryWindow) -> bool:
    """Return whether the window's rows are unchanged, and no later turn answers one of its messages."""
    messages = {row.id for row in rows}
    return (
        bool(rows)
        and rows[0].version == window.version
        and not any(
            row.started_at >= window.until and row.user_item_id is not None and row.user_item_id not in messages
            for row in turn_rows
        )
    )


def _turn(row: AnyRow) -> PastTurn:
    return PastTurn(row.id, row.user_item_id, row.status, row.started_at, load_json(row.transcript))
