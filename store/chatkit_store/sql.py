"""`SqlStore`: chatkit's `Store` interface on SQL."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypeVar

from chatkit_store import at_once, attachments, feedback, history, items, threads, widget_actions
from chatkit_store.approvals import ApprovalStore
from chatkit_store.database import Database
from chatkit_store.ids import new_id
from chatkit_store.loop_connection import is_short
from chatkit_store.owner import HasUser
from chatkit_store.sync_actions import SyncActionStore

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

    Any method raises `NotFound` (a `chatkit.store.NotFoundError`) for an id that is unknown or belongs to another user,
    and `StoreUnavailable`, `SchemaOutdated` or `StoreError` if the database fails. Each call is one short transaction,
    which is committed or rolled back as a whole even if the call is cancelled.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)
        self.approvals = ApprovalStore(self._database)
        """Runs that wait for their user's approval."""
        self.sync_actions = SyncActionStore(self._database)
        """Runs of synchronous actions."""

    # Ids

    def generate_thread_id(self, context: TContext) -> str:
        """Return a new id with the prefix `thr_`."""
        return new_id("thr")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: TContext) -> str:
        """Return a new id with chatkit's prefix for the type."""
        return new_id(_PREFIXES[item_type])

    # Threads

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """Return the thread as a new object whose changes `save_thread` can detect."""
        return await threads.load_thread(self._database, thread_id, context)

    async def load_thread_state(self, thread_id: str, context: TContext) -> threads.ThreadState:
        """Return the thread as `load_thread` does, its last position, and whether it may wait for its user."""
        return await threads.load_state(self._database, thread_id, context)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext, *, newest: int | None = None
    ) -> Page[ThreadMetadata]:
        """Return a page of the user's threads by creation; `limit` is clamped to 1..500, `after` is a thread id.

        With `newest`, all pages together have only that many of the newest threads.
        """
        return await threads.load_page(self._database, after, limit, order, context, newest)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Insert a new thread, or write the columns that changed since this store loaded or saved that object (T15).

        An object that the store has not seen before writes all its columns. Of a `Thread`, only fields that differ from
        a new one's are written, and never its items. Raises `IdClash` if the id is another user's, `NotFound` if a
        thread that the store has seen was deleted.
        """
        await threads.save_thread(self._database, thread, context)

    async def name_thread(
        self, thread_id: str, title: str, context: TContext, *, instead_of: str | None
    ) -> ThreadMetadata | None:
        """Set the title if it is still `instead_of`, and return the thread as `load_thread` does; else return None.

        Idempotent: a thread that has the title already is returned, too.
        Thread objects loaded before keep their old title. Saving one writes its title only if that was changed.
        """
        return await threads.name_thread(self._database, thread_id, title, context, instead_of)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Delete the thread with its items, turns, events, attachments and feedback.

        What limits count of its turns is kept for a day.
        """
        await self._database.write(lambda c: threads.delete_thread(c, thread_id, context), context)

    # Items

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Return a page of the thread's items by position, with hidden ones, without replaced ones and notices.

        `after` is the id of any item of the thread, hidden and replaced ones included; `limit` is clamped to 1..500.
        Rows that this version cannot read are skipped with a warning.
        """
        return await items.load_page(self._database, thread_id, after, limit, order, context, hidden=True)

    async def load_visible_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Return a page for the user: like `load_thread_items`, but with notices and without hidden items.

        Those are filtered out before paging (T28).
        """
        return await items.load_page(self._database, thread_id, after, limit, order, context, hidden=False)

    async def load_turn_items(self, thread_id: str, turn_id: str, context: TContext) -> list[ThreadItem]:
        """Return the visible items that a turn wrote, in order, without those that were replaced later."""
        return await items.load_written_by(self._database, thread_id, turn_id, context)

    async def load_changed_items(self, thread_id: str, turn_id: str, context: TContext) -> list[ThreadItem]:
        """Return older items that changed while a turn ran, such as the widget that an action came from.

        They are returned in their current state. Items that were changed again after the turn are left out.
        """
        return await items.load_changed_during(self._database, thread_id, turn_id, context)

    async def load_history(
        self,
        thread_id: str,
        before: history.HistoryCursor | None,
        limit: int,
        context: TContext,
        after: history.HistoryWindow | None = None,
    ) -> history.HistoryPage:
        """Return a page of the model's history, newest first; `before` is the cursor of the previous page.

        It has the thread's items, including hidden ones and excluding replaced ones, and the turns they belong to. With
        `after`, it has what follows that window, and tells whether the window is unchanged.
        """
        return await history.load_page(self._database, thread_id, before, limit, context, after)

    async def last_position(self, thread_id: str, context: TContext) -> int:
        """Return the thread's last position, which every write of items increases."""
        return await items.last_position(self._database, thread_id, context)

    async def load_since_user(self, thread_id: str, context: TContext) -> items.Recent:
        """Return the last user message and all items after it, hidden ones included; all items if there is none."""
        return await items.load_since_user(self._database, thread_id, context)

    async def saved_ids(self, thread_id: str, item_ids: Sequence[str], context: TContext) -> dict[str, bool]:
        """Return the ids among `item_ids` that are saved in the thread, and whether each is still being written."""
        return await items.saved_ids(self._database, thread_id, item_ids, context)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """Return one item of the thread, which may be hidden or replaced."""
        return await items.load_item(self._database, thread_id, item_id, context)

    async def check_item_id(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Raise `IdClash` if the thread cannot have an item with this id, because another thread has one."""
        await items.check_id(self._database, thread_id, item_id, context)

    async def is_replaced(self, thread_id: str, item_id: str, context: TContext) -> bool:
        """Return whether a retry replaced the item."""
        return await items.is_replaced(self._database, thread_id, item_id, context)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Insert the item, or update the one with its id. Raises `IdClash` for an id in another thread."""
        await self.add_thread_items(thread_id, [item], context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Do the same as `add_thread_item`: chatkit does not always know which items exist (T11)."""
        await self.add_thread_items(thread_id, [item], context)

    async def add_thread_items(
        self,
        thread_id: str,
        new: Sequence[ThreadItem],
        context: TContext,
        turn_id: str | None = None,
        still_open: Collection[str] = (),
        worker_id: str | None = None,
    ) -> None:
        """Insert or update items in order, in one transaction; existing items keep their position and turn.

        `still_open` are ids of items that their turn is still writing; they are saved now to reserve their position.
        Raises, having written nothing, `IdClash` if an id exists in another thread, and `NotFound` if `worker_id` is
        given and that worker does not run the turn (any more).
        """
        rows, dialect = items.to_rows(thread_id, new, turn_id, still_open), self._database.dialect
        if worker_id is not None and turn_id is not None and self._database.writes_at_once and at_once.is_plain(rows):
            write = at_once.add(thread_id, rows[0], turn_id, worker_id, context)
            if await self._database.write_at_once(*write, context, may_repeat=True):
                return
        await self._database.write(
            lambda c: items.write_items(c, dialect, thread_id, rows, context, worker_id),
            context,
            is_short=at_once.is_plain(rows) and is_short(rows[0]["payload"]),
        )

    async def change_item(
        self, thread_id: str, item_id: str, change: Callable[[ThreadItem], ThreadItem], context: TContext
    ) -> ThreadItem:
        """Replace an item by `change(item)` and return the result. The thread is locked for all workers until then.

        `change` keeps the id and has no side effects: it may run in an OS thread, and twice.
        """
        dialect = self._database.dialect
        return await self._database.write(
            lambda c: items.change_item(c, dialect, thread_id, item_id, change, context), context
        )

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Delete one item and its feedback."""
        await self._database.write(lambda c: items.delete_item(c, thread_id, item_id, context), context)

    async def has_withdrawn_action(self, thread_id: str, item_id: str, type: str, context: TContext) -> bool:
        """Return whether this widget used to offer an action of this type and no longer does; False if not a widget."""
        return await self._database.read(
            lambda c: widget_actions.is_withdrawn(c, thread_id, item_id, type, context), context
        )

    # Feedback

    async def add_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: TContext
    ) -> None:
        """Save the user's vote on each item, replacing earlier votes. Raises `NotFound`, having saved none (T39)."""
        dialect = self._database.dialect
        await self._database.write(
            lambda c: feedback.write_votes(c, dialect, thread_id, item_ids, kind, context), context
        )

    # Attachments

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Insert or update an attachment, including its `metadata`.

        Raises `IdClash` if the id is another user's, `NotFound` if its thread is not the user's.
        """
        row, dialect = attachments.to_row(attachment, context), self._database.dialect
        await self._database.write(lambda c: attachments.write(c, dialect, row, context), context)

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """Return one attachment of the user."""
        return await attachments.load(self._database, attachment_id, context)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Delete an attachment's row. The caller deletes its bytes."""
        await self._database.write(lambda c: attachments.delete_attachment(c, attachment_id, context), context)
