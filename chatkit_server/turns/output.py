"""What a turn says: every event is folded into the turn's items, an item is saved before it is said to be done, and
what is said goes into the log, which readers and the journal read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC
from time import monotonic

from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ClientToolCallItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    WidgetComponentUpdated,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from chatkit_store import NotFound, SqlStore, StoreError

from ..context import RequestContext
from ..events.fold import TurnItems, is_empty, is_thought, settle
from ..events.snapshot import without_calls
from ..files.generated_images import inline_image
from ..memory import Transcript
from .accept import Accepted, thread_response
from .journal import Journal
from .turn_log import TurnLog

PAGE_SIZE = 500
UPDATES_OF_FINISHED_ITEMS = (
    GeneratedImageUpdated,
    WidgetComponentUpdated,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)


class Output:
    """The words of one turn. `on_lost` is called when a save finds the turn's row closed by another worker."""

    def __init__(
        self,
        turn_id: str,
        accepted: Accepted,
        context: RequestContext,
        store: SqlStore[RequestContext],
        journal: Journal,
        items: TurnItems,
        log: TurnLog,
        transcript: Transcript,
        on_lost: Callable[[], None],
    ) -> None:
        self.thread = accepted.thread
        self.transcript = transcript
        self.is_shut = False
        """The turn has ended: what a run that would not be stopped still says is not heard."""
        self.first_token: float | None = None
        """When it was said, by `time.monotonic`."""
        self.saved: set[str] = set()
        """The ids of the items that have a row."""
        self.thoughts: set[str] = set()
        """The ids of items that only show what the agent thinks and does."""
        self._turn_id = turn_id
        self._context = context
        self._store = store
        self._journal = journal
        self._items = items
        self._open = items.open
        self._log = log
        self._images = accepted.images
        self._on_lost = on_lost
        self._hidden: set[str] = set()
        self._known_thread = accepted.thread.model_copy(deep=True)

    def is_hidden(self, item_id: str) -> bool:
        """Whether the item is for the model only."""
        return item_id in self._hidden

    async def take_all(self, events: AsyncIterator[ThreadStreamEvent]) -> None:
        """Takes what the run says until it has ended, or the turn has."""
        async for event in events:
            if self.is_shut:
                return
            if self._images is not None and (image := inline_image(event)) is not None:
                event = await self._images.store(event, image, self.thread, self._context)
            if type(event) is ThreadItemUpdatedEvent:
                if event.item_id not in self._open:
                    await self._reopen(event)
                self._take_update(event)
            else:
                await self._take(event)
                await self._save_thread()
        await self._save_thread()

    def take_text(self, item_id: str, content_index: int, delta: str) -> None:
        """The hot path: nothing is awaited, nothing is copied but the text."""
        if self.is_shut:
            return
        self._open.add_text(item_id, content_index, delta)
        if item_id in self._hidden:
            return
        self._log.append_text(item_id, content_index, delta)
        if self.first_token is None:
            self.first_token = monotonic()

    async def _reopen(self, event: ThreadItemUpdatedEvent) -> None:
        """An update of an item that was finished before, in this turn or in an earlier one: it is open again until it
        is done or the turn ends, and so is saved (T20)."""
        if not isinstance(event.update, UPDATES_OF_FINISHED_ITEMS):
            return
        with contextlib.suppress(NotFoundError):
            # The row, not what this turn knows of it: the user may have submitted something in it meanwhile.
            item = await self._store.load_item(self.thread.id, event.item_id, self._context)
            await self._take(ThreadItemAddedEvent(item=item))
            if not await self.write_journal():  # a row that is open is only as good as the journal
                return
            await self._store.add_thread_items(self.thread.id, [item], self._context, still_open=[item.id])

    def _take_update(self, event: ThreadItemUpdatedEvent) -> None:
        update = event.update
        if type(update) is AssistantMessageContentPartTextDelta:
            self.take_text(event.item_id, update.content_index, update.delta)
            return
        self._open.update(event.item_id, update)
        if event.item_id not in self._hidden:
            self._log.append(event)

    async def _take(self, event: ThreadStreamEvent) -> None:
        match event:
            case ThreadItemAddedEvent():
                _make_aware(event.item)
                self._note(event.item)
                self._say_of(event.item, event)
            case ThreadItemDoneEvent() if is_empty(event.item):
                await self._take(ThreadItemRemovedEvent(item_id=event.item.id))
            case ThreadItemDoneEvent():
                _make_aware(event.item)
                self._note(event.item)
                await self._save(event.item)
                self._say_of(event.item, event)
            case ThreadItemReplacedEvent():
                _make_aware(event.item)
                await self._store.save_item(self.thread.id, event.item, self._context)
                self._open.close(event.item.id)
                self._say_of(event.item, event)
            case ThreadItemRemovedEvent():
                await self._remove(event.item_id)
                if event.item_id not in self._hidden:
                    self.say(event)
                    await self.write_journal()
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                _make_aware(event.thread)
                self.say(event.model_copy(update={"thread": thread_response(event.thread)}))
            case _:
                self.say(event)

    def _note(self, item: ThreadItem) -> None:
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):  # before it is saved, and open meanwhile
            self._hidden.add(item.id)
        if is_thought(item) or item.id in self.transcript.display_only:
            self.thoughts.add(item.id)

    async def _save(self, item: ThreadItem) -> None:
        """Saves a finished item. Open ones that appeared before it are saved with it as they stand: that reserves
        their positions, so that a reload shows the order in which things appeared (T25)."""
        items = [*self._open.before(item.id), item]
        self._open.add(item)  # a stop in the middle of the save finds it here, as it is now
        # Recovery takes an open row for a place that is kept for what the journal says.
        still_open = [known.id for known in items[:-1]] if self._journal.is_on else []
        try:
            await self._store.add_thread_items(
                self.thread.id,
                items,
                self._context,
                turn_id=self._turn_id,
                still_open=still_open,
                worker_id=self._journal.worker_id,
            )
        except NotFound as error:
            if error.kind == "Turn":
                self._on_lost()
                await asyncio.sleep(0)  # cancelled here
            raise
        self.saved.update(known.id for known in items)
        self._open.close(item.id)

    async def _remove(self, item_id: str) -> None:
        known = self._open[item_id] if item_id in self._open else self._items.finished.get(item_id)
        if self._images is not None and isinstance(known, GeneratedImageItem | None):
            await self._images.delete(item_id, self.thread, self._context)
        if item_id in self.saved or item_id not in self._open:
            with contextlib.suppress(NotFoundError):  # shown, but never saved
                await self._store.delete_thread_item(self.thread.id, item_id, self._context)
            self.saved.discard(item_id)
        self._open.close(item_id)
        self.thoughts.discard(item_id)

    async def _save_thread(self) -> None:
        """An agent may change the thread's title, status or metadata; only what it changed is written (T15)."""
        if self.thread != self._known_thread:
            self._known_thread = self.thread.model_copy(deep=True)
            await self._store.save_thread(self.thread, self._context)
            # Read again: the user may have renamed it while the agent held an older title.
            current = await self._store.load_thread(self.thread.id, self._context)
            self.say(ThreadUpdatedEvent(thread=thread_response(current)))

    def _say_of(self, item: ThreadItem, event: ThreadStreamEvent) -> None:
        """Hidden items never leave the server, in no event (T27)."""
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):
            self._hidden.add(item.id)
            if isinstance(event, ThreadItemAddedEvent):
                self._open.add(item)
            return
        if self._waits_for_another(item):
            return
        self.say(event)

    def _waits_for_another(self, item: ThreadItem) -> bool:
        """The page runs one tool at a time: a call behind another one is said when that has its answer."""
        if not isinstance(item, ClientToolCallItem) or item.status != "pending":
            return False
        others = (known for known in self._items.finished.values() if isinstance(known, ClientToolCallItem))
        return any(known.status == "pending" and known.id != item.id for known in others)

    def say(self, event: ThreadStreamEvent) -> None:
        """Tells an event to readers and the journal."""
        self._items.apply(event)
        self._log.append(event)

    async def write_journal(self) -> bool:
        """At once, for what must not get lost by a crash, such as that an item was taken back. Says whether it was."""
        if self._journal.is_on:
            self._log.flush()
            with contextlib.suppress(StoreError):
                await self._journal.write()
                return True
        return False

    # -- the end

    def partial(self) -> tuple[list[ThreadItem], list[str]]:
        """What is still open: the items to keep as they are, settled, and the ids of those that stayed empty."""
        kept = [settle(item) for item in self._open if not is_empty(item)]
        return kept, [item.id for item in self._open if is_empty(item)]

    def answered(self, kept: Collection[ThreadItem], dropped: Collection[str]) -> bool:
        """Whether anything but thoughts remains, if those open items are kept and these are dropped."""
        return bool({*(item.id for item in kept), *self.saved}.difference(dropped, self.thoughts))

    def say_kept(self, item: ThreadItem) -> None:
        """Tells that an open item is done, as it was saved with the turn's end."""
        self._open.close(item.id)
        self._say_of(item, ThreadItemDoneEvent(item=item))

    async def drop(self, item_id: str) -> None:
        """An item that stayed empty goes; its position may have been reserved by a row."""
        with contextlib.suppress(NotFoundError):
            await self._store.delete_thread_item(self.thread.id, item_id, self._context)
        self._open.close(item_id)
        self._items.finished.pop(item_id, None)
        if item_id not in self._hidden:
            self.say(ThreadItemRemovedEvent(item_id=item_id))

    async def say_restored(self, after: str | None) -> None:
        """Shows the old answer again, which the widget took away by itself on Retry (T9)."""
        has_more = True
        while has_more:
            page = await self._store.load_visible_items(self.thread.id, after, PAGE_SIZE, "asc", self._context)
            for item in without_calls(page.data):  # the page would run the tool once more
                self.say(ThreadItemDoneEvent(item=item))
            after, has_more = page.after, page.has_more


def _make_aware(made: ThreadItem | ThreadMetadata) -> None:
    """chatkit stamps what it makes with a naive local time (T17); on the wire and in SQL there is only UTC."""
    made.created_at = made.created_at.astimezone(UTC)
