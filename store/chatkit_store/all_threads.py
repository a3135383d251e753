"""Read the threads of all users, for administrators: no owner filter, but who owns each thread.

Pages have two cursors, as in OpenAI's API. Both are ids, and a page lies between them in its order: `after` is the
entry before its first one, `before` the entry behind its last one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from chatkit.types import ThreadItem, ThreadMetadata
from sqlalchemy import Column, ColumnElement, Connection, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import deleted_threads, items, threads
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import AnyRow, Database
from chatkit_store.errors import NotFound
from chatkit_store.notices import IS_PART
from chatkit_store.owner import Owner
from chatkit_store.paging import Pages, clamp
from chatkit_store.tables import thread_items
from chatkit_store.tables import threads as threads_table

T = TypeVar("T")
Order = Literal["asc", "desc"]

t = threads_table.c
i = thread_items.c

CONVERSATION = (
    "user_message",
    "assistant_message",
    "client_tool_call",
    "widget",
    "task",
    "workflow",
)
"""The types of items that make up a conversation outside of this server."""


@dataclass(frozen=True, slots=True)
class OwnedThread:
    """A thread and its owner."""

    thread: ThreadMetadata
    owner: Owner


@dataclass(frozen=True, slots=True)
class Cursors:
    """Where a page begins and ends in its order."""

    after: str | None = None
    before: str | None = None
    """Without `after`, the page is the last one before this id."""


@dataclass(frozen=True, slots=True)
class Between(Generic[T]):
    """A page: its entries in order, and whether there are more in the direction in which it was read."""

    data: list[T]
    has_more: bool


class AllThreadsStore:
    """The threads of all users. Raises errors as `SqlStore` does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def load_thread(self, thread_id: str) -> OwnedThread:
        """Return a thread. Raises `NotFound`."""
        values = {"thread": thread_id}
        row = await self._database.read(lambda c: c.execute(_LOAD, values).one_or_none(), ALL_USERS)
        if row is None:
            raise NotFound("Thread", thread_id)
        return _owned_thread(row)

    async def load_threads(
        self,
        cursors: Cursors,
        limit: int,
        order: Order,
        *,
        user_id: str | None = None,
        tenant: str | None = None,
    ) -> Between[OwnedThread]:
        """Return a page of threads by creation, of all users or those of one, of all tenants or one.

        `limit` is clamped to 1..500. A thread that was deleted in the last day still serves as a cursor. Raises
        `NotFound` for any other cursor that is not a thread.
        """
        pages = _THREAD_PAGES[user_id is not None, tenant is not None]
        values = {"user": user_id, "tenant": tenant}
        values = {name: value for name, value in values.items() if value is not None}
        return await self._page(pages, values, cursors, limit, order, _owned_thread, lambda _: None)

    async def load_items(self, thread_id: str, cursors: Cursors, limit: int, order: Order) -> Between[ThreadItem]:
        """Return a page of a thread's conversation: finished items of the types of `CONVERSATION`.

        `limit` is clamped to 1..500. Raises `NotFound` for a thread or cursor that does not exist.
        """

        def check(connection: Connection) -> None:
            if connection.scalar(_EXISTS, {"thread": thread_id}) is None:
                raise NotFound("Thread", thread_id)

        values = {"thread": thread_id}
        return await self._page(_ITEM_PAGES, values, cursors, limit, order, items.from_row, check)

    async def _page(
        self,
        pages: "_BothWays",
        values: Mapping[str, Any],
        cursors: Cursors,
        limit: int,
        order: Order,
        read: Callable[[AnyRow], T | None],
        check: Callable[[Connection], None],
    ) -> Between[T]:
        is_backward = cursors.after is None and cursors.before is not None
        start = cursors.before if is_backward else cursors.after
        end = None if is_backward else await self._position(pages, values, cursors.before, check)

        def explain(connection: Connection) -> None:
            check(connection)
            if start is not None:
                pages.position(connection, values, start)

        def read_with_position(row: AnyRow) -> tuple[int, T] | None:
            entry = read(row)
            return None if entry is None else (row.position, entry)

        direction = order if not is_backward else _OPPOSITE[order]
        limit = clamp(limit)
        count = limit if end is None else limit + 1  # one more shows whether there are more before the end
        page = await pages.pages.load(
            self._database, ALL_USERS, values, start, count, direction, read_with_position, explain
        )
        inside = [entry for position, entry in page.data if end is None or _is_before(position, end, order)]
        has_more = len(inside) > limit or (page.has_more and len(inside) == len(page.data))
        inside = inside[:limit]
        return Between(inside[::-1] if is_backward else inside, has_more)

    async def _position(
        self, pages: "_BothWays", values: Mapping[str, Any], cursor: str | None, check: Callable[[Connection], None]
    ) -> int | None:
        def work(connection: Connection) -> int:
            check(connection)
            return pages.position(connection, values, cursor or "")

        return None if cursor is None else await self._database.read(work, ALL_USERS)


class _BothWays:
    """The pages of a query, and the positions of its cursors."""

    def __init__(
        self,
        kind: str,
        query: Select[Any],
        position: Column[int],
        cursor: ColumnElement[int],
        large: tuple[Column[Any], ...],
    ) -> None:
        self.pages = Pages(query, position, cursor, large)
        self._kind = kind
        self._cursor = select(cursor)

    def position(self, connection: Connection, values: Mapping[str, Any], cursor: str) -> int:
        """Return the position of an entry. Raises `NotFound`."""
        position: int | None = connection.scalar(self._cursor, {**values, "after": cursor})
        if position is None:
            raise NotFound(self._kind, cursor)
        return position


_OPPOSITE: Mapping[Order, Order] = {"asc": "desc", "desc": "asc"}


def _is_before(position: int, end: int, order: Order) -> bool:
    return position < end if order == "asc" else position > end


def _owned_thread(row: AnyRow) -> OwnedThread:
    return OwnedThread(threads.from_row(row), Owner(row.tenant, row.user_id))


_COLUMNS = (*threads.COLUMNS, t.user_id, t.tenant)
_LOAD = select(*_COLUMNS).where(t.id == bindparam("thread"))
_EXISTS = select(t.id).where(t.id == bindparam("thread"))
_OF_USER = t.user_id == bindparam("user", type_=t.user_id.type)
_OF_TENANT = t.tenant == bindparam("tenant", type_=t.tenant.type)
_BY_INDEX = t.created_at.is_not(None)
"""Says that SQLite may use the index of a tenant's threads, which must not serve for those of a user."""


def _thread_pages(*conditions: Any) -> _BothWays:
    query = select(*_COLUMNS).where(*conditions)
    return _BothWays("Thread", query, t.position, deleted_threads.POSITION, threads.LARGE)


_THREAD_PAGES = {
    (False, False): _thread_pages(),
    (False, True): _thread_pages(_OF_TENANT, _BY_INDEX),
    (True, False): _thread_pages(_OF_USER),
    (True, True): _thread_pages(_OF_USER, _OF_TENANT),
}
"""By whether they are of one user, and of one tenant."""

_ITEM_CURSOR = (
    select(i.position).where(i.id == bindparam("after"), i.thread_id == bindparam("thread")).scalar_subquery()
)
_ITEM_PAGES = _BothWays(
    "Item",
    select(i.id, i.position, i.type, i.payload).where(
        i.thread_id == bindparam("thread"),
        i.replaced_by.is_(None),
        i.hidden.is_(False),
        i.open.is_(False),
        IS_PART,
        i.type.in_(CONVERSATION),
    ),
    i.position,
    _ITEM_CURSOR,
    (i.payload,),
)
