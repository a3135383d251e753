"""Thread items and their rows: one `to_row`, one `from_row`, one way to write them and one to page through them."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chatkit.types import HiddenContextItem, Page, SDKHiddenContextItem, ThreadItem
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from store.columns import aware_utc, dump_json
from store.database import AnyRow, Database, all_rows, insert_into
from store.errors import IdClash, NotFound
from store.owner import HasUser, owned
from store.paging import Bound, collect_page, seek
from store.tables import thread_items, threads
from store.text import plain_text

logger = logging.getLogger(__name__)

_adapter: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)

ROLES = {
    "user_message": "user",
    "hidden_context_item": "system",
    "sdk_hidden_context": "system",
    "end_of_turn": "system",
    "client_tool_call": "tool",
}

i = thread_items.c


def to_row(thread_id: str, item: ThreadItem, turn_id: str | None, position: int, now: datetime) -> dict[str, Any]:
    """The item's columns. Its `thread_id` becomes the thread's and its time aware UTC, in the payload too."""
    created_at = aware_utc(item.created_at)
    whole = item.model_copy(update={"thread_id": thread_id, "created_at": created_at})
    return {
        "id": item.id,
        "thread_id": thread_id,
        "turn_id": turn_id,
        "position": position,
        "type": item.type,
        "role": ROLES.get(item.type, "assistant"),
        "text": plain_text(item),
        "hidden": isinstance(item, HiddenContextItem | SDKHiddenContextItem),
        "payload": dump_json(whole),
        "created_at": created_at,
        "updated_at": now,
    }


def from_row(row: AnyRow) -> ThreadItem | None:
    """The item of a row with `id`, `type` and `payload`; None, and a warning, for one that this version cannot read."""
    try:
        with _no_widget_warnings(row.type):
            return _adapter.validate_json(row.payload)
    except ValidationError:
        logger.warning("item %s skipped: unknown type or invalid payload (%s)", row.id, row.type)
        return None


@contextmanager
def _no_widget_warnings(type: str) -> Iterator[None]:
    """chatkit 1.6 deprecates making its widget classes by name, and does so itself whenever it parses a widget."""
    if type != "widget":
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


async def write_items(
    connection: AsyncConnection,
    database: Database,
    thread_id: str,
    items: Sequence[ThreadItem],
    context: HasUser,
    turn_id: str | None = None,
) -> None:
    """Insert or update `items` in order. A known id keeps its position and its turn; new ones follow one another.

    Raises `NotFound` for a thread that is not the user's, `IdClash` for an id that another thread has.
    """
    once = {item.id: item for item in items}  # the last of equal ids counts, at the place of the first
    last = await take_positions(connection, thread_id, len(once), context)
    if not once:
        return
    now = datetime.now(UTC)
    first = last - len(once) + 1
    rows = [to_row(thread_id, item, turn_id, first + index, now) for index, item in enumerate(once.values())]
    written = set(await connection.scalars(_upsert(database.dialect), rows))
    for row in rows:
        if row["id"] not in written:
            raise IdClash("Item", row["id"])


async def take_positions(connection: AsyncConnection, thread_id: str, count: int, context: HasUser) -> int:
    """Check the owner, lock the thread and reserve `count` positions, in one statement; return the last of them."""
    statement = (
        update(threads)
        .where(threads.c.id == thread_id, owned(threads, context))
        .values(last_position=threads.c.last_position + count, updated_at=datetime.now(UTC))
        .returning(threads.c.last_position)
    )
    last: int | None = await connection.scalar(statement)
    if last is None:
        raise NotFound("Thread", thread_id)
    return last


@cache
def _upsert(dialect: str) -> Any:
    """The one statement for all items; building it costs as much as running it."""
    insert = insert_into(thread_items, dialect)
    new = insert.excluded
    changed = {name: new[name] for name in ("type", "role", "text", "hidden", "payload", "created_at", "updated_at")}
    return insert.on_conflict_do_update(
        index_elements=[i.id],
        set_=changed | {"turn_id": func.coalesce(i.turn_id, new.turn_id)},
        where=i.thread_id == new.thread_id,
    ).returning(i.id)


async def load_page(
    database: Database, thread_id: str, after: str | None, limit: int, order: str, context: HasUser, *, hidden: bool
) -> Page[ThreadItem]:
    """A page of the thread's items without replaced ones, with `hidden` ones or without; see `SqlStore`."""

    async def work(connection: AsyncConnection) -> Page[ThreadItem]:
        async def fetch(bound: Bound, count: int) -> Sequence[AnyRow]:
            return await all_rows(connection, seek(query, i.position, order, bound, count))

        cursor = None if after is None else _position(thread_id, after)
        page: Page[ThreadItem] = await collect_page(fetch, from_row, cursor, limit)
        if not page.data:
            await _explain_nothing(connection, thread_id, after, context)
        return page

    query = select(i.id, i.position, i.type, i.payload).where(
        i.thread_id == thread_id, i.replaced_by.is_(None), owned(thread_items, context)
    )
    if not hidden:
        query = query.where(i.hidden.is_(False))
    return await database.read(work)


def _position(thread_id: str, item_id: str) -> Any:
    """Where an item stands, whether hidden, replaced or neither."""
    return select(i.position).where(i.id == item_id, i.thread_id == thread_id).scalar_subquery()


async def position_of(connection: AsyncConnection, thread_id: str, item_id: str, context: HasUser) -> int:
    """The item's position. Raises `NotFound`."""
    query = select(i.position).where(i.id == item_id, i.thread_id == thread_id, owned(thread_items, context))
    position: int | None = await connection.scalar(query)
    if position is None:
        raise NotFound("Item", item_id)
    return position


async def check_thread(connection: AsyncConnection, thread_id: str, context: HasUser) -> None:
    """Raise `NotFound` unless the thread is there and the user's."""
    query = select(threads.c.id).where(threads.c.id == thread_id, owned(threads, context))
    if await connection.scalar(query) is None:
        raise NotFound("Thread", thread_id)


async def _explain_nothing(connection: AsyncConnection, thread_id: str, after: str | None, context: HasUser) -> None:
    """Raise `NotFound` where a page is empty because its thread or its cursor does not exist."""
    await check_thread(connection, thread_id, context)
    if after is not None:
        await position_of(connection, thread_id, after, context)
