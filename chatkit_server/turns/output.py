"""What a turn outputs: fold each event into the turn's items, save an item before saying that it is done, and append
what clients may see to the log, which readers and the journal read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from time import monotonic
from typing import TypeVar

from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ClientToolCallItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    HiddenContextItem,
    Page,
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

from chatkit_store import NotFound, SqlStore, StoreError, TurnStore

from ..context import RequestContext
from ..events.copies import deep_copy
from ..events.fold import is_empty, is_thought, settle
from ..events.last_item import LastItemDoneEvent
from ..events.snapshot import without_calls
from ..files.generated_images import inline_image
from ..interactions.notice_card import is_notice
from ..loops import through_outage
from ..memory import Transcript
from ..settings import Settings
from .accept import Accepted, thread_response
from .claim import Claim
from .journal import Journal
from .live_turn import LiveTurn

T = TypeVar("T")

PAGE_SIZE = 500
UPDATES_OF_FINISHED_ITEMS = (
    GeneratedImageUpdated,
    WidgetComponentUpdated,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)


@dataclass(frozen=True)
class TurnServices:
    """What every turn of this worker uses."""

    store: SqlStore[RequestContext]
    turns: TurnStore
    journal: Journal
    settings: Settings
    claim: Claim


class Output:
    """Turns the events of one run into saved items and log entries."""

    __slots__ = (
        "__weakref__",
        "_context",
        "_hidden",
        "_images",
        "_items",
        "_journal",
        "_last",
        "_log",
        "_on_lost",
        "_open",
        "_outage_seconds",
        "_saved_thread",
        "_store",
        "_turn_id",
        "first_token",
        "is_shut",
        "saved",
        "thoughts",
        "thread",
        "transcript",
    )

    def __init__(
        self,
        turn: LiveTurn,
        accepted: Accepted,
        context: RequestContext,
        services: TurnServices,
        transcript: Transcript,
        on_lost: Callable[[], None],
    ) -> None:
        """Write to the items and the log of `turn`.

        `on_lost` is called when a save finds that another worker has closed the turn's row.
        """
        self.thread = accepted.thread
        self.transcript = transcript
        self.is_shut = False
        """The turn has ended: ignore what a run that could not be cancelled still yields."""
        self.first_token: float | None = None
        """When the first text came, by `time.monotonic`."""
        self.saved: set[str] = set()
        """The ids of the items that have a row."""
        self.thoughts: set[str] = set()
        """The ids of items that are no answer: what the agent thinks and does, and notices."""
        self._turn_id = turn.id
        self._context = context
        self._store = services.store
        self._journal = services.journal
        self._items = turn.items
        self._open = turn.items.open
        self._log = turn.log
        self._images = accepted.images
        self._on_lost = on_lost
        self._outage_seconds = services.settings.outage_seconds
        self._hidden: set[str] = set()
        """The ids of items that only the model may see."""
        self._saved_thread = accepted.thread
        """The thread as it is saved; `note_thread` copies it before the agent can change it."""
        self._last: ThreadItem | None = None
        """An item that is done, and still open: it is saved with the turn's end, unless an event follows."""

    @property
    def has_unsaved_answer(self) -> bool:
        """Whether the last item is done, and has to be saved with the turn's end."""
        return self._last is not None

    def is_hidden(self, item_id: str) -> bool:
        """Return whether only the model may see the item."""
        return item_id in self._hidden

    def note_thread(self) -> None:
        """Note what the thread is like before the run, which may change it."""
        self._saved_thread = deep_copy(self.thread)

    async def take_all(self, events: AsyncIterator[ThreadStreamEvent]) -> None:
        """Take the run's events until it ends or the turn does."""
        async for event in events:
            if self.is_shut:
                return
            if self._last is not None:
                last, self._last = self._last, None
                await self._take(ThreadItemDoneEvent(item=last))
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
        """Take a text delta. This is the hot path: it awaits nothing and copies only the text."""
        if self.is_shut:
            return
        self._open.add_text(item_id, content_index, delta)
        if self._hidden and item_id in self._hidden:
            return
        self._log.append_text(item_id, content_index, delta)
        if self.first_token is None:
            self.first_token = monotonic()

    async def _reopen(self, event: ThreadItemUpdatedEvent) -> None:
        """Open a finished item of this or an earlier turn again, for an update (T20).

        It stays open until it is done or the turn ends, and is then saved.
        """
        if not isinstance(event.update, UPDATES_OF_FINISHED_ITEMS):
            return
        with contextlib.suppress(NotFoundError):
            # The row, not this turn's copy: the user may have submitted something in the widget since.
            item = await self._through_outage(
                lambda: self._store.load_item(self.thread.id, event.item_id, self._context)
            )
            await self._take(ThreadItemAddedEvent(item=item))
            if not await self.write_journal():  # recovery completes an open row from the journal
                return
            await self._through_outage(
                lambda: self._store.add_thread_items(self.thread.id, [item], self._context, still_open=[item.id])
            )

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
                self._classify(event.item)
                self._send_for(event.item, event)
            case ThreadItemDoneEvent() if is_empty(event.item):
                await self._take(ThreadItemRemovedEvent(item_id=event.item.id))
            case LastItemDoneEvent():
                _make_aware(event.item)
                self._classify(event.item)
                self._open.add(event.item)
                self._last = event.item
            case ThreadItemDoneEvent():
                _make_aware(event.item)
                self._classify(event.item)
                await self._save(event.item)
                self._send_for(event.item, event)
            case ThreadItemReplacedEvent():
                _make_aware(event.item)
                replacement = event.item
                await self._through_outage(lambda: self._store.save_item(self.thread.id, replacement, self._context))
                self._open.close(event.item.id)
                self._send_for(event.item, event)
            case ThreadItemRemovedEvent():
                await self._remove(event.item_id)
                if event.item_id not in self._hidden:
                    self.send(event)
                    await self.write_journal()
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                _make_aware(event.thread)
                self.send(event.model_copy(update={"thread": thread_response(event.thread)}))
            case _:
                self.send(event)

    def _classify(self, item: ThreadItem) -> None:
        """Note whether the item is hidden or a thought: before it is saved, so that readers never see a hidden one."""
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):
            self._hidden.add(item.id)
        if is_thought(item) or is_notice(item) or item.id in self.transcript.display_only:
            self.thoughts.add(item.id)

    async def _save(self, item: ThreadItem) -> None:
        """Save a finished item, and with it the open items that appeared before it, as they are now."""
        # A row's position is given out on insert. Inserting the earlier, still open items first reserves theirs, so
        # that a reload shows the items in the order in which they appeared (T25).
        items = [*self._open.before(item.id), item]
        self._open.add(item)  # the finished item, for a stop during the save
        # An open row tells recovery to complete the item from the journal; without a journal there is nothing to add.
        still_open = [open_item.id for open_item in items[:-1]] if self._journal.is_on else []
        try:
            await self._through_outage(
                lambda: self._store.add_thread_items(
                    self.thread.id,
                    items,
                    self._context,
                    turn_id=self._turn_id,
                    still_open=still_open,
                    worker_id=self._journal.worker_id,
                )
            )
        except NotFound as error:
            if error.kind == "Turn":  # another worker considered this one dead and closed the turn
                self._on_lost()
                await asyncio.sleep(0)  # the cancellation arrives here
            raise
        self.saved.update(saved.id for saved in items)
        self._open.close(item.id)

    async def _remove(self, item_id: str) -> None:
        item = self._open[item_id] if item_id in self._open else self._items.finished.get(item_id)
        if self._images is not None and isinstance(item, GeneratedImageItem | None):
            await self._images.delete(item_id, self.thread, self._context)
        if item_id in self.saved or item_id not in self._open:
            await self._delete(item_id)
            self.saved.discard(item_id)
        self._open.close(item_id)
        self.thoughts.discard(item_id)

    async def _delete(self, item_id: str) -> None:
        """Delete the item's row, if it has one."""
        with contextlib.suppress(NotFoundError):
            await self._through_outage(lambda: self._store.delete_thread_item(self.thread.id, item_id, self._context))

    async def _through_outage(self, call: Callable[[], Awaitable[T]]) -> T:
        return await through_outage(call, self._outage_seconds, f"turn {self._turn_id}")

    async def _save_thread(self) -> None:
        """Save what the agent has changed in the thread's title, status or metadata, and nothing else (T15)."""
        if self.thread != self._saved_thread:
            self._saved_thread = deep_copy(self.thread)
            await self._through_outage(lambda: self._store.save_thread(self.thread, self._context))
            # Read it again: the user may have renamed it while the agent held an older title.
            current = await self._through_outage(lambda: self._store.load_thread(self.thread.id, self._context))
            self.send(ThreadUpdatedEvent(thread=thread_response(current)))

    def _send_for(self, item: ThreadItem, event: ThreadStreamEvent) -> None:
        """Send an event about an item, unless the item is hidden (T27) or a client tool call that waits for an earlier
        one."""
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):
            self._hidden.add(item.id)
            if isinstance(event, ThreadItemAddedEvent):
                self._open.add(item)
            return
        if self._waits_for_another(item):
            return
        self.send(event)

    def _waits_for_another(self, item: ThreadItem) -> bool:
        """Return whether an earlier client tool call is pending: the page runs one at a time, and gets the next one
        once the first has its output."""
        if not isinstance(item, ClientToolCallItem) or item.status != "pending":
            return False
        calls = (finished for finished in self._items.finished.values() if isinstance(finished, ClientToolCallItem))
        return any(call.status == "pending" and call.id != item.id for call in calls)

    def send(self, event: ThreadStreamEvent) -> None:
        """Send an event to the readers and the journal."""
        self._items.apply(event)
        self._log.append(event)

    async def write_journal(self) -> bool:
        """Write the journal now, for what a crash must not lose, such as a removed item; return whether it worked."""
        if self._journal.is_on:
            with contextlib.suppress(StoreError):
                await self._journal.write()
                return True
        return False

    # -- the end

    def partial(self) -> tuple[list[ThreadItem], list[str]]:
        """Return the open items to keep, settled, and the ids of the open items that are still empty."""
        remaining_items = [settle(item) for item in self._open if not is_empty(item)]
        return remaining_items, [item.id for item in self._open if is_empty(item)]

    def is_answered(self, remaining_items: Collection[ThreadItem], removed_ids: Collection[str]) -> bool:
        """Return whether anything but thoughts is left if `remaining_items` stay and `removed_ids` go."""
        return bool({*(item.id for item in remaining_items), *self.saved}.difference(removed_ids, self.thoughts))

    def send_kept(self, item: ThreadItem) -> None:
        """Send that an open item is done; it was saved with the turn's end."""
        self._open.close(item.id)
        self._send_for(item, ThreadItemDoneEvent(item=item))

    async def remove_empty(self, item_id: str) -> None:
        """Remove an item that stayed empty, and the row that may have reserved its position."""
        await self._delete(item_id)
        self._open.close(item_id)
        self._items.finished.pop(item_id, None)
        if item_id not in self._hidden:
            self.send(ThreadItemRemovedEvent(item_id=item_id))

    async def send_restored(self, after: str | None) -> None:
        """Send the old answer again, which the widget itself removed on Retry (T9)."""
        has_more = True
        while has_more:
            page = await self._through_outage(partial(self._load_page, after))
            for item in without_calls(page.data):  # the page would run the tool once more
                if not is_notice(item):  # readers get the error itself
                    self.send(ThreadItemDoneEvent(item=item))
            after, has_more = page.after, page.has_more

    async def _load_page(self, after: str | None) -> Page[ThreadItem]:
        return await self._store.load_visible_items(self.thread.id, after, PAGE_SIZE, "asc", self._context)


def _make_aware(model: ThreadItem | ThreadMetadata) -> None:
    """Convert the naive local time that chatkit puts on new models (T17) to UTC."""
    model.created_at = model.created_at.astimezone(UTC)
