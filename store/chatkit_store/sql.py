"""`SqlStore`: chatkit's `Store` over SQL."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypeVar

from chatkit_store import attachments, feedback, history, items, threads, widget_actions
from chatkit_store.approvals import ApprovalStore
from chatkit_store.database import Database
from chatkit_store.errors import NotFound
from chatkit_store.ids import new_id
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

    Any method raises `NotFound` (a `chatkit.store.NotFoundError`) for an id that is unknown or a stranger's, and
    `StoreUnavailable`, `SchemaOutdated` or `StoreError` when the database fails. Each is one short transaction and
    ends it whole, also when it is cancelled.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)
        self.approvals = ApprovalStore(self._database)
        """Runs that wait for a decision of their user's."""
        self.sync_actions = SyncActionStore(self._database)
        """Actions that answer at once."""

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
        return await threads.load_thread(self._database, thread_id, context)

    async def load_threads(self, limit: int, after: str | None, order: str, context: TContext) -> Page[ThreadMetadata]:
        """A page of the user's threads by creation; `limit` is clamped to 1..500, `after` is a thread's id."""
        return await threads.load_page(self._database, after, limit, order, context)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Insert a new thread, or write what changed since this store loaded or saved that very object (T15).

        An object the store never saw writes all its columns; a `Thread` without its items (T12), and only what is set.
        Raises `IdClash` when the id is another user's, `NotFound` when a known thread is gone.
        """
        await threads.save_thread(self._database, thread, context)

    async def name_thread(self, thread_id: str, title: str, context: TContext, *, instead_of: str | None) -> bool:
        """Give the thread a title in place of `instead_of`; says whether that was still the one it had.

        Objects that this store gave away do not hear of it: saving one writes its title only where that was changed.
        """
        return await threads.name_thread(self._database, thread_id, title, context, instead_of)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Delete the thread with its items, turns, events, attachments and feedback."""
        await self._delete(threads.DELETION, {"thread": thread_id}, context, NotFound("Thread", thread_id))

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

    async def load_turn_items(self, thread_id: str, turn_id: str, context: TContext) -> list[ThreadItem]:
        """What a turn has shown, its user's message first; nothing of what was replaced later."""
        return await items.load_of_turn(self._database, thread_id, turn_id, context)

    async def load_changed_items(self, thread_id: str, turn_id: str, context: TContext) -> list[ThreadItem]:
        """What was there before a turn and was changed while it ran, as it is now: the widget that an action came from.
        Nothing that was changed later again."""
        return await items.load_changed_during(self._database, thread_id, turn_id, context)

    async def load_history(
        self, thread_id: str, before: history.HistoryCursor | None, limit: int, context: TContext
    ) -> history.HistoryPage:
        """A page of what a model is told: items from the newest back, hidden ones included, replaced ones not, with the
        turns that wrote or answered them, or went on with them. `before` comes from the page before."""
        return await history.load_page(self._database, thread_id, before, limit, context)

    async def last_position(self, thread_id: str, context: TContext) -> int:
        """Where the thread stands, as in `items.Recent`. Raises `NotFound`."""
        return await items.last_position(self._database, thread_id, context)

    async def load_since_user(self, thread_id: str, context: TContext) -> items.Recent:
        """The user's last message and all that followed it, hidden items too; all items where there is none."""
        return await items.load_since_user(self._database, thread_id, context)

    async def saved_ids(self, thread_id: str, item_ids: Sequence[str], context: TContext) -> dict[str, bool]:
        """Those of the ids that the thread has saved; with each, whether its turn still writes it."""
        return await items.saved_ids(self._database, thread_id, item_ids, context)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """One item of the thread, hidden and replaced ones too."""
        return await items.load_item(self._database, thread_id, item_id, context)

    async def is_replaced(self, thread_id: str, item_id: str, context: TContext) -> bool:
        """Whether a retry put another answer in the place of the one that the item belongs to."""
        return await items.is_replaced(self._database, thread_id, item_id, context)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Insert the item, or update the one with its id (T11). Raises `IdClash` for an id in another thread."""
        await self.add_thread_items(thread_id, [item], context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """The same as `add_thread_item`."""
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
        """Insert or update several items in one transaction, in order; known ones keep their position and turn.

        `still_open` are the ids of those that their turn goes on writing: they are saved to keep their place.
        Raises `IdClash`, and changes nothing, when one of the ids is in another thread; with `worker_id`, `NotFound`
        where that worker does not run the turn (any more).
        """
        rows, dialect = items.to_rows(thread_id, new, turn_id, still_open), self._database.dialect
        await self._database.write(lambda c: items.write_items(c, dialect, thread_id, rows, context, worker_id))

    async def change_item(
        self, thread_id: str, item_id: str, change: Callable[[ThreadItem], ThreadItem], context: TContext
    ) -> ThreadItem:
        """Make of an item what `change` makes of it as it is now, and return that; nobody, at no worker, changes an
        item of the thread meanwhile.

        `change` keeps the item's id, and does nothing else: it may run in a thread, and twice.
        """
        dialect = self._database.dialect
        return await self._database.write(lambda c: items.change_item(c, dialect, thread_id, item_id, change, context))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Delete one item with its feedback."""
        ids = {"item": item_id, "thread": thread_id}
        await self._delete(items.DELETION, ids, context, NotFound("Item", item_id))

    async def has_lost_action(self, thread_id: str, item_id: str, type: str, context: TContext) -> bool:
        """Whether this widget once offered an action of this type and, as it is now, does not; False for no widget."""
        return await self._database.read(lambda c: widget_actions.is_gone(c, thread_id, item_id, type, context))

    # Feedback

    async def add_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: TContext
    ) -> None:
        """Keep the user's vote on each item, in place of an earlier one; all or, with `NotFound`, none (T39)."""
        dialect = self._database.dialect
        await self._database.write(lambda c: feedback.write_votes(c, dialect, thread_id, item_ids, kind, context))

    # Attachments

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Insert or update an attachment, its `metadata` included.

        Raises `IdClash` when the id is another user's, `NotFound` when its thread is not the user's.
        """
        row, dialect = attachments.to_row(attachment, context), self._database.dialect
        await self._database.write(lambda c: attachments.write(c, dialect, row, context))

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """One attachment of the user."""
        return await attachments.load(self._database, attachment_id, context)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Forget an attachment; its bytes are somebody else's to delete."""
        ids = {"attachment": attachment_id}
        await self._delete(attachments.DELETION, ids, context, NotFound("Attachment", attachment_id))

    async def _delete(self, statement: Any, ids: dict[str, str], context: TContext, missing: NotFound) -> None:
        values = {**ids, "owner": context.user_id}

        def work(connection: Connection) -> None:
            if connection.scalar(statement, values) is None:
                raise missing

        await self._database.write(work)
