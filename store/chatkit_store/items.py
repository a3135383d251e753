"""Convert thread items to rows and back, write them, and read them by page, turn or id."""

import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from chatkit.types import HiddenContextItem, Page, SDKHiddenContextItem, ThreadItem, WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import ConfigDict, TypeAdapter
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)

from chatkit_store import widget_actions
from chatkit_store.acting import for_all_users
from chatkit_store.columns import UtcDateTime, aware_utc, dump_json
from chatkit_store.database import AnyRow, Database, insert_into
from chatkit_store.errors import IdClash, NotFound, ThreadChanged
from chatkit_store.notices import IS_PART, is_notice_id
from chatkit_store.notices import ROLE as NOTICE
from chatkit_store.owner import HasUser, checked, owned, owner_values
from chatkit_store.paging import Pages
from chatkit_store.tables import RUNNING, thread_items, threads, turns
from chatkit_store.text import plain_text

logger = logging.getLogger(__name__)

ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem, config=ConfigDict(cache_strings="keys"))

ROLES = {
    "user_message": "user",
    "hidden_context_item": "system",
    "sdk_hidden_context": "system",
    "end_of_turn": "system",
    "client_tool_call": "tool",
}

i = thread_items.c


def to_row(thread_id: str, item: ThreadItem, turn_id: str | None, *, is_open: bool = False) -> dict[str, Any]:
    """Return the item's columns without `position` and `updated_at`, which are set when it is written.

    Its `thread_id` is set to the thread's and its time converted to aware UTC, in the payload too.
    """
    created_at = aware_utc(item.created_at)
    if item.thread_id != thread_id or item.created_at.utcoffset() != timedelta(0):
        item = item.model_copy(update={"thread_id": thread_id, "created_at": created_at})
    return {
        "id": item.id,
        "thread_id": thread_id,
        "turn_id": turn_id,
        "type": item.type,
        "role": NOTICE if is_notice_id(item.id) else ROLES.get(item.type, "assistant"),
        "text": plain_text(item),
        "hidden": isinstance(item, HiddenContextItem | SDKHiddenContextItem),
        "open": is_open,
        "payload": dump_json(item),
        "created_at": created_at,
    }


def to_rows(
    thread_id: str, items: Sequence[ThreadItem], turn_id: str | None, still_open: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return the rows of items in order. Of items with the same id the last one wins, at the first one's place."""
    last = {item.id: item for item in items}.values()
    return [to_row(thread_id, item, turn_id, is_open=item.id in still_open) for item in last]


def from_row(row: AnyRow) -> ThreadItem | None:
    """Return the item of a row with `id`, `type` and `payload`; log a warning and return None if it is unreadable."""
    try:
        return _widget(row.payload) if row.type == "widget" else ITEM.validate_json(row.payload)
    except (ValueError, TypeError, KeyError):  # a ValidationError is a ValueError
        logger.warning("item %s skipped: unknown type or invalid payload (%s)", row.id, row.type)
        return None


def _widget(payload: str) -> WidgetItem:
    """Return a widget with a `DynamicWidgetRoot`.

    The named widget classes of chatkit 1.6 drop unknown properties, and warn on each copy that they are deprecated.
    """
    fields = json.loads(payload)
    return WidgetItem.model_validate(fields | {"widget": DynamicWidgetRoot.model_validate(fields["widget"])})


def write_items(
    connection: Connection,
    dialect: str,
    thread_id: str,
    rows: Sequence[dict[str, Any]],
    context: HasUser,
    worker_id: str | None = None,
    seen_position: int | None = None,
) -> None:
    """Insert or update the rows of items in order. Existing ids keep their position and turn; new ones are appended.

    Raises `NotFound` if the thread is not the user's, or `worker_id` is given and that worker does not run the rows'
    turn; `IdClash` if another thread has an id; `ThreadChanged` if the thread is no longer at `seen_position`.
    """
    if worker_id is None or not rows:
        last = take_positions(connection, thread_id, len(rows), context)
    else:
        last = _take_for_turn(connection, dialect, thread_id, len(rows), context, rows[0]["turn_id"], worker_id)
    if seen_position is not None and last - len(rows) != seen_position:
        raise ThreadChanged(thread_id)
    put_items(connection, dialect, rows, last - len(rows) + 1)


def change_item(
    connection: Connection,
    dialect: str,
    thread_id: str,
    item_id: str,
    change: Callable[[ThreadItem], ThreadItem],
    context: HasUser,
) -> ThreadItem:
    """Replace an item by `change(item)` and return the result. Raises `NotFound`."""
    position = take_positions(connection, thread_id, 1, context)  # locks the thread, like every write of items
    values = {"item": item_id, "thread": thread_id, **owner_values(context)}
    row = connection.execute(_LOAD_WITH_OPEN, values).one_or_none()
    item = None if row is None else from_row(row)
    if row is None or item is None:
        raise NotFound("Item", item_id)
    changed = change(item)
    put_items(connection, dialect, [to_row(thread_id, changed, None, is_open=row.open)], position)
    return changed


def delete_item(connection: Connection, thread_id: str, item_id: str, context: HasUser) -> None:
    """Delete one item of a thread. Raises `NotFound`."""
    take_positions(connection, thread_id, 0, context)  # first: who has the thread's lock may wait for the item
    values = {"item": item_id, "thread": thread_id, **owner_values(context)}
    if connection.scalar(_DELETE, values) is None:
        raise NotFound("Item", item_id)


def put_items(connection: Connection, dialect: str, rows: Sequence[dict[str, Any]], first: int) -> None:
    """Write rows at the positions reserved for them, starting at `first`. Raises `IdClash`."""
    now = datetime.now(UTC)
    rows = [row | {"position": first + index, "updated_at": now} for index, row in enumerate(rows)]
    if len(rows) == 1:  # half the cost of a statement for many rows
        written_ids = {connection.scalar(_upsert(dialect), rows[0])}
    else:
        written_ids = set(connection.scalars(_upsert(dialect), rows)) if rows else set()
    for row in rows:
        if row["id"] not in written_ids:
            raise IdClash("Item", row["id"])
    widget_actions.save_offers(connection, dialect, rows)


def take_positions(connection: Connection, thread_id: str, count: int, context: HasUser) -> int:
    """Check the owner, lock the thread and reserve `count` positions in one statement; return the last position."""
    values = {"thread": thread_id, **owner_values(context), "count": count, "now": datetime.now(UTC)}
    last: int | None = connection.scalar(TAKE_POSITIONS, values)
    if last is None:
        raise NotFound("Thread", thread_id)
    return last


def _take_for_turn(
    connection: Connection, dialect: str, thread_id: str, count: int, context: HasUser, turn_id: str, worker_id: str
) -> int:
    values = {"thread": thread_id, **owner_values(context), "count": count, "now": datetime.now(UTC)}
    take = TAKE_FOR_TURN if dialect == "postgresql" else _TAKE_FOR_TURN  # SQLite has one writer
    last: int | None = connection.scalar(take, {**values, "turn": turn_id, "worker": worker_id})
    if last is None:
        check_thread(connection, thread_id, context)
        raise NotFound("Turn", turn_id)
    return last


TAKE_POSITIONS = (
    update(threads)
    .where(threads.c.id == bindparam("thread"), owned(threads))
    .values(
        last_position=threads.c.last_position + bindparam("count", type_=BigInteger),
        updated_at=bindparam("now", type_=UtcDateTime),
    )
    .returning(threads.c.last_position)
)
_OWN_TURN = select(turns.c.id).where(
    turns.c.id == bindparam("turn"), turns.c.worker_id == bindparam("worker"), turns.c.status == RUNNING
)
_TAKE_FOR_TURN = TAKE_POSITIONS.where(_OWN_TURN.exists())


def take_for_turn(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Return PostgreSQL's statement that does the same as `TAKE_POSITIONS` if the `worker` runs the `turn`.

    While it waits for the thread, another worker may adopt the turn, which its snapshot does not show. So it then locks
    the turn's row as it is by then. If that is no longer the worker's, it has taken the positions in vain.
    """
    place = _TAKE_FOR_TURN.where(*conditions).cte("place")
    own = _OWN_TURN.where(select(place.c.last_position).exists()).with_for_update(key_share=True).cte("own")
    return select(place.c.last_position).select_from(place.join(own, true()))


TAKE_FOR_TURN = take_for_turn()


_CHANGING = ("type", "role", "text", "hidden", "open", "payload", "created_at", "updated_at")


@cache
def _upsert(dialect: str) -> Any:
    """Return the one statement that writes items. Building it costs as much as running it."""
    return updating(insert_into(thread_items, dialect))


def updating(insert: Any) -> Any:
    """Return an INSERT of items that updates those that the thread has already, and returns the ids of all written."""
    new = insert.excluded
    changed = {name: new[name] for name in _CHANGING}
    return insert.on_conflict_do_update(
        index_elements=[i.id],
        set_=changed | {"turn_id": func.coalesce(i.turn_id, new.turn_id)},
        where=i.thread_id == new.thread_id,
    ).returning(i.id)


_WITH_NOTICES = select(i.id, i.position, i.type, i.payload).where(i.replaced_by.is_(None), owned(thread_items))
_ALL = _WITH_NOTICES.where(IS_PART)
_CURSOR = (  # the position of any item, hidden and replaced ones included
    select(i.position).where(i.id == bindparam("after"), i.thread_id == bindparam("thread")).scalar_subquery()
)
_LISTED_CALL = 8 * 1024
"""The longest client tool call that visible pages have. The widget skips calls, and continues after the last item that
it shows: a page of long ones, such as pictures, would make it ask for the same page again.
"""
_IS_LISTED = or_(i.type != "client_tool_call", func.length(cast(i.payload, Text)) <= _LISTED_CALL)
_ALL_PAGES = Pages(_ALL, i.position, _CURSOR, [i.payload])
_VISIBLE_PAGES = Pages(_WITH_NOTICES.where(i.hidden.is_(False), _IS_LISTED), i.position, _CURSOR, [i.payload])
_WRITTEN_BY = (
    select(i.id, i.type, i.payload)
    .where(i.turn_id == bindparam("turn"), i.hidden.is_(False), IS_PART, i.replaced_by.is_(None), checked(thread_items))
    .order_by(i.position)
)
_CHANGED_DURING = (
    select(i.id, i.type, i.payload)
    .join(turns, turns.c.thread_id == i.thread_id)
    .where(
        turns.c.id == bindparam("turn"),
        i.turn_id.is_distinct_from(turns.c.id),
        i.updated_at >= turns.c.started_at,
        i.updated_at <= func.coalesce(turns.c.ended_at, i.updated_at),
        i.hidden.is_(False),
        IS_PART,
        i.replaced_by.is_(None),
        owned(thread_items),
    )
    .order_by(i.position)
)
_LAST_OF_USER = (
    select(func.coalesce(func.max(i.position), 0))
    .where(i.thread_id == bindparam("thread"), i.type == "user_message", i.replaced_by.is_(None))
    .scalar_subquery()
)
HAS_WAITING = (
    select(i.id)
    .where(
        i.thread_id == bindparam("thread"),
        i.position >= _LAST_OF_USER,
        i.type.in_([literal_column(f"'{type}'") for type in ("client_tool_call", "structured_input", "widget")]),
        IS_PART,
        i.replaced_by.is_(None),
    )
    .exists()
)
"""Whether an item after the last user message of a `thread` is of a type that can wait for the user: a tool of the
page, a question, or a widget, as approval cards are."""
_SINCE_USER = _ALL.where(i.position >= _LAST_OF_USER).order_by(i.position)
_ITEM = (i.id == bindparam("item"), owned(thread_items))
_LOAD = select(i.id, i.type, i.payload).where(*_ITEM)
_IS_REPLACED = select(i.id).where(*_ITEM, i.replaced_by.is_not(None))
_LOAD_WITH_OPEN = select(i.id, i.type, i.payload, i.open).where(*_ITEM)
_ELSEWHERE = select(i.id).where(i.id == bindparam("item"), i.thread_id != bindparam("thread"))
_SAVED = select(i.id, i.open).where(i.id.in_(bindparam("items", expanding=True)), checked(thread_items))
_POSITION = select(i.position).where(*_ITEM)
_LAST_POSITION = select(threads.c.last_position).where(threads.c.id == bindparam("thread"), owned(threads))
_THREAD = select(threads.c.id).where(threads.c.id == bindparam("thread"), owned(threads))

UNFINISHED = delete(thread_items).where(i.turn_id == bindparam("turn"), i.open)
"""Deletes the unfinished items of a `turn`."""

_DELETE = delete(thread_items).where(*_ITEM).returning(i.id)


async def load_page(
    database: Database, thread_id: str, after: str | None, limit: int, order: str, context: HasUser, *, hidden: bool
) -> Page[ThreadItem]:
    """Return a page of the thread's items, with or without `hidden` ones. Raises `NotFound`."""

    def explain(connection: Connection) -> None:
        check_thread(connection, thread_id, context)
        if after is not None:
            position_of(connection, thread_id, after, context)

    pages = _ALL_PAGES if hidden else _VISIBLE_PAGES
    values = {"thread": thread_id, **owner_values(context)}
    return await pages.load(database, context, values, after, limit, order, from_row, explain)


async def load_written_by(database: Database, thread_id: str, turn_id: str, context: HasUser) -> list[ThreadItem]:
    """Return the visible items that the turn wrote first. Raises `NotFound` if the thread is not the user's."""
    return await _load_of_turn(database, _WRITTEN_BY, thread_id, turn_id, context)


async def load_changed_during(database: Database, thread_id: str, turn_id: str, context: HasUser) -> list[ThreadItem]:
    """Return older visible items that were last changed while the turn ran. Raises `NotFound`."""
    return await _load_of_turn(database, _CHANGED_DURING, thread_id, turn_id, context)


async def _load_of_turn(
    database: Database, statement: Select[Any], thread_id: str, turn_id: str, context: HasUser
) -> list[ThreadItem]:
    values = {"thread": thread_id, "turn": turn_id, **owner_values(context)}

    def work(connection: Connection) -> Sequence[AnyRow]:
        check_thread(connection, thread_id, context)
        return connection.execute(statement, values).all()

    return _readable(await database.read(work, context))


@dataclass(frozen=True)
class Recent:
    """The last user message and the items after it, hidden ones included.

    `position` is the thread's last position at that time. Every write of items increases it, updates included.
    """

    items: list[ThreadItem]
    position: int


async def last_position(database: Database, thread_id: str, context: HasUser) -> int:
    """Return the thread's last position. Raises `NotFound`."""
    return await database.read(lambda c: _last_position(c, thread_id, context), context)


async def load_since_user(database: Database, thread_id: str, context: HasUser) -> Recent:
    """Return the items since the last user message. Raises `NotFound`."""
    values = {"thread": thread_id, **owner_values(context)}

    def work(connection: Connection) -> tuple[int, Sequence[AnyRow]]:
        position = _last_position(connection, thread_id, context)  # first: a write in between makes it outdated
        return position, connection.execute(_SINCE_USER, values).all()

    position, rows = await database.read(work, context)
    return Recent(_readable(rows), position)


async def saved_ids(database: Database, thread_id: str, item_ids: Sequence[str], context: HasUser) -> dict[str, bool]:
    """Return the ids that have a row in the thread, and whether each is still being written."""
    if not item_ids:
        return {}
    values = {"thread": thread_id, "items": list(item_ids), **owner_values(context)}
    rows = await database.read(lambda c: c.execute(_SAVED, values).all(), context)
    return {row.id: row.open for row in rows}


async def load_item(database: Database, thread_id: str, item_id: str, context: HasUser) -> ThreadItem:
    """Return one item. Raises `NotFound`, also if this version cannot read it."""
    values = {"item": item_id, "thread": thread_id, **owner_values(context)}
    row = await database.read(lambda c: c.execute(_LOAD, values).one_or_none(), context)
    item = None if row is None else from_row(row)
    if item is None:
        raise NotFound("Item", item_id)
    return item


async def check_id(database: Database, thread_id: str, item_id: str, context: HasUser) -> None:
    """Raise `IdClash` if an item of any other thread has the id; `NotFound` for another user's thread."""

    def work(connection: Connection) -> None:
        check_thread(connection, thread_id, context)
        with for_all_users(connection):
            is_taken = connection.scalar(_ELSEWHERE, {"item": item_id, "thread": thread_id}) is not None
        if is_taken:
            raise IdClash("Item", item_id)

    await database.read(work, context)


async def is_replaced(database: Database, thread_id: str, item_id: str, context: HasUser) -> bool:
    """Return whether a retry replaced the item."""
    values = {"item": item_id, "thread": thread_id, **owner_values(context)}
    return await database.read(lambda c: c.scalar(_IS_REPLACED, values), context) is not None


def _readable(rows: Sequence[AnyRow]) -> list[ThreadItem]:
    return [item for row in rows if (item := from_row(row)) is not None]


def _last_position(connection: Connection, thread_id: str, context: HasUser) -> int:
    position: int | None = connection.scalar(_LAST_POSITION, {"thread": thread_id, **owner_values(context)})
    if position is None:
        raise NotFound("Thread", thread_id)
    return position


def position_of(connection: Connection, thread_id: str, item_id: str, context: HasUser) -> int:
    """Return the item's position. Raises `NotFound`."""
    values = {"item": item_id, "thread": thread_id, **owner_values(context)}
    position: int | None = connection.scalar(_POSITION, values)
    if position is None:
        raise NotFound("Item", item_id)
    return position


def check_thread(connection: Connection, thread_id: str, context: HasUser) -> None:
    """Raise `NotFound` unless the thread exists and is the user's."""
    if connection.scalar(_THREAD, {"thread": thread_id, **owner_values(context)}) is None:
        raise NotFound("Thread", thread_id)
