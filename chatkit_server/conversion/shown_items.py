"""Record which items a run has shown and changed, so that a guardrail's tripwire can revert them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from ..agent_context import AgentContext
from ..memory import Transcript

Events = list[ThreadStreamEvent]
Handlers = Mapping[str, Callable[[Any, Any], Awaitable[Events]]]
"""Methods of a class by type of model event: of the class, because a table of bound ones takes 2 KiB in each run."""


class ShownItems:
    """The ids of the items that the run added, in order, and the previous state of older items that it changed.

    Only the database knows which items are older: it is queried once per item whose id the context has not generated,
    and returns the previous state too. That state is kept in memory, so it is lost with the process. An older item
    that the run removed is not restored.
    """

    def __init__(self, context: AgentContext, transcript: Transcript) -> None:
        self.transcript = transcript
        self._context = context
        self._added_ids: list[str] = []
        self._older_items: dict[str, ThreadItem] = {}
        self._missing_ids: set[str] = set()
        """Ids that were not in the database."""
        self._transcript_ids: set[str] = set()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._added_ids

    def show(self, item: ThreadItem, *, in_transcript: bool = True) -> ThreadItemAddedEvent:
        """Return the event that shows the item. `in_transcript`: later turns replay it to the model."""
        self._added_ids.append(item.id)
        if in_transcript:
            self._add_to_transcript(item.id)
        else:
            self.transcript.display_only.add(item.id)
        return ThreadItemAddedEvent(item=item)

    async def forward(self, event: ThreadStreamEvent) -> Events:
        """Record and return an event of a tool or of a subclass. Raises what the store raises."""
        match event:
            case ThreadItemAddedEvent() | ThreadItemDoneEvent():
                if not await self._is_older(event.item.id) and event.item.id not in self._added_ids:
                    self._added_ids.append(event.item.id)
                self._add_to_transcript(event.item.id)
            case ThreadItemReplacedEvent():
                await self._is_older(event.item.id)
            case ThreadItemUpdatedEvent():
                await self._is_older(event.item_id)
            case ThreadItemRemovedEvent():
                return self.remove(event.item_id)
            case _:
                pass
        return [event]

    async def reopen(self, item: ThreadItem) -> Events:
        """Return the event that reopens an item of the previous turn. Raises what the store raises."""
        if not await self._is_older(item.id) and item.id not in self._added_ids:
            self._added_ids.append(item.id)
        return [ThreadItemAddedEvent(item=item)]

    def remove(self, item_id: str) -> Events:
        """Return the event that removes an item."""
        if item_id in self._added_ids:
            self._added_ids.remove(item_id)
        self._older_items.pop(item_id, None)
        return [ThreadItemRemovedEvent(item_id=item_id)]

    def revert(self) -> Events:
        """Return the events that remove what the run added and restore what it changed."""
        removed = [ThreadItemRemovedEvent(item_id=item_id) for item_id in self._added_ids]
        return [*removed, *(ThreadItemReplacedEvent(item=item) for item in self._older_items.values())]

    def _add_to_transcript(self, item_id: str) -> None:
        if item_id not in self._transcript_ids and item_id not in self.transcript.display_only:
            self._transcript_ids.add(item_id)
            self.transcript.add_shown(item_id)

    async def _is_older(self, item_id: str) -> bool:
        """Return whether the item is older than the run. If so, its previous state is kept."""
        context = self._context
        is_decided = item_id in self._added_ids or item_id in self._older_items or item_id in self._missing_ids
        if not is_decided and not context.has_generated(item_id):
            try:
                item = await context.store.load_item(context.thread.id, item_id, context.request_context)
                self._older_items[item_id] = item
            except NotFoundError:
                self._missing_ids.add(item_id)
        return item_id in self._older_items
