"""Which items a run has shown and changed: a guardrail's tripwire takes it back."""

from collections.abc import Awaitable, Callable
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
Handlers = dict[str, Callable[[Any], Awaitable[Events]]]
"""By the type of the model's event."""


class ShownItems:
    """The ids of the items that appeared in this run, in their order, and the items from before it that it changes, as
    they were.

    Which of the two an item is, only the database knows: it is asked once for each item that comes with an id that the
    context has not made, and gives the older content as well. That is kept in memory, so it is gone with the process;
    an older item that the run removed stays removed.
    """

    def __init__(self, context: AgentContext, transcript: Transcript) -> None:
        self.transcript = transcript
        self._context = context
        self._ids: list[str] = []
        self._before: dict[str, ThreadItem] = {}
        self._unknown: set[str] = set()
        self._told: set[str] = set()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._ids

    def show(self, item: ThreadItem, *, in_transcript: bool = True) -> ThreadItemAddedEvent:
        """Return the event that shows the item. `in_transcript`: later turns replay it to the model."""
        self._ids.append(item.id)
        if in_transcript:
            self._add_to_transcript(item.id)
        else:
            self.transcript.display_only.add(item.id)
        return ThreadItemAddedEvent(item=item)

    async def forward(self, event: ThreadStreamEvent) -> Events:
        """An event that somebody else made. Raises what the store raises."""
        match event:
            case ThreadItemAddedEvent() | ThreadItemDoneEvent():
                if not await self._changes_older(event.item.id) and event.item.id not in self._ids:
                    self._ids.append(event.item.id)
                self._add_to_transcript(event.item.id)
            case ThreadItemReplacedEvent():
                await self._changes_older(event.item.id)
            case ThreadItemUpdatedEvent():
                await self._changes_older(event.item_id)
            case ThreadItemRemovedEvent():
                return self.remove(event.item_id)
            case _:
                pass
        return [event]

    async def reopen(self, item: ThreadItem) -> Events:
        """An item that the turn before left open is open again. Raises what the store raises."""
        if not await self._changes_older(item.id) and item.id not in self._ids:
            self._ids.append(item.id)
        return [ThreadItemAddedEvent(item=item)]

    def remove(self, item_id: str) -> Events:
        """The event that takes an item away."""
        if item_id in self._ids:
            self._ids.remove(item_id)
        self._before.pop(item_id, None)
        return [ThreadItemRemovedEvent(item_id=item_id)]

    def revert(self) -> Events:
        """The events that take away what appeared in this run, and make what it changed as it was before."""
        removed = [ThreadItemRemovedEvent(item_id=item_id) for item_id in self._ids]
        return [*removed, *(ThreadItemReplacedEvent(item=item) for item in self._before.values())]

    def _add_to_transcript(self, item_id: str) -> None:
        if item_id not in self._told:
            self._told.add(item_id)
            self.transcript.add_shown(item_id)

    async def _changes_older(self, item_id: str) -> bool:
        """Whether the item is from before this run; keeps it as it was."""
        context = self._context
        is_known = item_id in self._ids or item_id in self._before or item_id in self._unknown
        if not is_known and not context.has_generated(item_id):
            try:
                item = await context.store.load_item(context.thread.id, item_id, context.request_context)
                self._before[item_id] = item
            except NotFoundError:
                self._unknown.add(item_id)
        return item_id in self._before
