"""`SqlStore`: chatkit's `Store` over SQL."""

from collections.abc import Sequence
from typing import Any, Generic

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import TypeVar

from store import attachments, feedback, items, threads
from store.database import AnyRow, Database, all_rows, one_row
from store.errors import NotFound
from store.ids import new_id
from store.owner import HasUser, owned
from store.paging import Bound, collect_page, seek
from store.tables import thread_items
from store.tables import threads as threads_table

TContext = TypeVar("TContext", bound=HasUser, default=Any)

_PREFIXES: dict[StoreItemType, str] = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}


class SqlStore(Store[TContext], Generic[TContext]):
    """Threads, items, attachments and feedback in a SQL database; every call sees only what `context.user_id` owns.

    Any method raises `NotFound` (a `chatkit.store.NotFoundError`) for an id that is unknown or a stranger's, and
    `StoreUnavailable`, `SchemaOutdated` or `StoreError` when the database fails. Each is one short transaction and
    ends it whole, also when it is cancelled.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    # Ids

    def generate_thread_id(self, context: TContext) -> str:
        """A new `thr_` id (T26)."""
        return new_id("thr")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: TContext) -> str:
        """A new id with chatkit's prefix for the type (T26)."""
        return new_id(_PREFIXES[item_type])

    # Threads

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """The thread's metadata, a fresh object whose changes `save_thread` will tell apart."""

        row = await self._database.read(lambda c: one_row(c, threads.find_thread(thread_id, context)))
        if row is None:
            raise NotFound("Thread", thread_id)
        return threads.remember(self._database, threads.from_row(row))

    async def load_threads(self, limit: int, after: str | None, order: str, context: TContext) -> Page[ThreadMetadata]:
        """A page of the user's threads by creation; `limit` is clamped to 1..500, `after` is a thread's id."""
        t = threads_table.c
        query = select(*threads.COLUMNS).where(owned(threads_table, context))
        cursor = select(t.position).where(t.id == after, owned(threads_table, context)).scalar_subquery()

        async def work(connection: AsyncConnection) -> Page[ThreadMetadata]:
            async def fetch(bound: Bound, count: int) -> Sequence[AnyRow]:
                return await all_rows(connection, seek(query, t.position, order, bound, count))

            page = await collect_page(fetch, threads.from_row, None if after is None else cursor, limit)
            if after is not None and not page.data:
                await items.check_thread(connection, after, context)
            return page

        page = await self._database.read(work)
        for thread in page.data:
            threads.remember(self._database, thread)
        return page

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Insert a new thread, or write what changed since this store loaded or saved that very object (T15).

        An object the store never saw writes all its columns; a `Thread` without its items (T12), and only what is set.
        Raises `IdClash` when the id is another user's, `NotFound` when a known thread is gone.
        """
        await self._database.write(lambda c: threads.save_thread(c, self._database, thread, context))
        threads.remember(self._database, thread)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Delete the thread with its items, turns, events, attachments and feedback."""
        statement = delete(threads_table).where(threads_table.c.id == thread_id, owned(threads_table, context))
        await self._delete(statement.returning(threads_table.c.id), "Thread", thread_id)

    # Items

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """A page of the thread's items, hidden ones included, replaced ones not; in the order of their positions.

        `after` is the id of any item of the thread (also of a hidden or replaced one), `limit` is clamped to 1..500.
        Rows that this version cannot read are left out with a warning.
        """
        return await items.load_page(self._database, thread_id, after, limit, order, context, hidden=True)

    async def load_visible_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """As `load_thread_items`, without hidden items, which are filtered before paging (T27, T28)."""
        return await items.load_page(self._database, thread_id, after, limit, order, context, hidden=False)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """One item of the thread, hidden and replaced ones too."""
        i = thread_items.c
        query = select(i.id, i.type, i.payload).where(
            i.id == item_id, i.thread_id == thread_id, owned(thread_items, context)
        )
        row = await self._database.read(lambda c: one_row(c, query))
        item = None if row is None else items.from_row(row)
        if item is None:
            raise NotFound("Item", item_id)
        return item

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Insert the item, or update the one with its id (T11). Raises `IdClash` for an id in another thread."""
        await self.add_thread_items(thread_id, [item], context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """The same as `add_thread_item`."""
        await self.add_thread_items(thread_id, [item], context)

    async def add_thread_items(
        self, thread_id: str, new: Sequence[ThreadItem], context: TContext, turn_id: str | None = None
    ) -> None:
        """Insert or update several items in one transaction, in order; known ones keep their position and turn.

        Raises `IdClash`, and changes nothing, when one of the ids is in another thread.
        """
        await self._database.write(lambda c: items.write_items(c, self._database, thread_id, new, context, turn_id))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Delete one item with its feedback."""
        i = thread_items.c
        statement = delete(thread_items).where(i.id == item_id, i.thread_id == thread_id, owned(thread_items, context))
        await self._delete(statement.returning(i.id), "Item", item_id)

    # Feedback

    async def add_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: TContext
    ) -> None:
        """Keep the user's vote on each item, in place of an earlier one; all or, with `NotFound`, none (T39)."""
        await self._database.write(
            lambda c: feedback.write_votes(c, self._database, thread_id, item_ids, kind, context)
        )

    # Attachments

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Insert or update an attachment, its `metadata` included.

        Raises `IdClash` when the id is another user's, `NotFound` when its thread is not the user's.
        """
        await self._database.write(lambda c: attachments.write(c, self._database, attachment, context))

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """One attachment of the user."""
        return await self._database.read(lambda c: attachments.load(c, attachment_id, context))

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Forget an attachment; its bytes are somebody else's to delete."""
        await self._delete(attachments.deletion(attachment_id, context), "Attachment", attachment_id)

    async def _delete(self, statement: Any, kind: str, id: str) -> None:
        async def work(connection: AsyncConnection) -> None:
            if await connection.scalar(statement) is None:
                raise NotFound(kind, id)

        await self._database.write(work)
