"""Ids of the items that an author's code makes. In SQL an id is unique, whereas the author's ids may repeat.

An id that is free, or of the same thread, is kept. `__fake_id__`, which the Agents SDK gives to all items of Chat
Completions, is replaced each time, and so is an id that is added again after its item was done. An id that another
thread has is replaced by one that is derived from it, so that the author's code finds the item again.
"""

from collections.abc import Sequence

from agents.models.fake_id import FAKE_RESPONSES_ID
from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from chatkit_store import IdClash, SqlStore, derived_id, new_id

from ..context import RequestContext

PREFIXES = {
    "client_tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "hidden_context_item": "shcx",
    "sdk_hidden_context": "shcx",
}
"""Of new ids, by the item's type."""
PREFIX = "msg"
"""Of all others."""

Key = tuple[str, str]
"""A thread, and the author's id of an item in it."""


class ItemIds:
    """From the author's ids to those that are saved, for one request."""

    def __init__(self, store: SqlStore[RequestContext], context: RequestContext) -> None:
        self._store = store
        self._context = context
        self._generated: set[str] = set()
        """Ids that the store gave to the author's code. No other item has them."""
        self._saved_as: dict[Key, list[str]] = {}
        """All ids that the author's id stands for, the current one last."""
        self._types: dict[str, str] = {}
        """The type of the item, by the id that is saved."""
        self._done: set[str] = set()
        """The saved ids of items that are done."""

    def add_generated(self, item_id: str) -> None:
        """Note an id that the author's code gets for a new item."""
        self._generated.add(item_id)

    async def translate(self, event: ThreadStreamEvent, thread_id: str) -> Sequence[ThreadStreamEvent]:
        """Return the event with the ids that are saved, and with a copy of its item: the turn changes that one.

        An event that removes an id becomes one for each item that had it.
        """
        match event:
            case ThreadItemUpdatedEvent():  # first, for it comes with every token
                item_id = await self.resolve(event.item_id, thread_id)
                return [event if item_id == event.item_id else event.model_copy(update={"item_id": item_id})]
            case ThreadItemAddedEvent() | ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                item = await self.rename(event.item, thread_id, is_added=isinstance(event, ThreadItemAddedEvent))
                if isinstance(event, ThreadItemDoneEvent):
                    self._done.add(item.id)
                return [event.model_copy(update={"item": item})]
            case ThreadItemRemovedEvent():
                await self.resolve(event.item_id, thread_id)
                return [ThreadItemRemovedEvent(item_id=id) for id in self._saved_as.pop((thread_id, event.item_id))]
            case _:
                return [event]

    async def rename(self, item: ThreadItem, thread_id: str, *, is_added: bool = False) -> ThreadItem:
        """Return a copy of the item with the ids of itself and its thread under which it is saved. `is_added` tells
        that it is a new one."""
        item_id = await self._id_for(item, thread_id, is_added=is_added)
        self._types[item_id] = item.type
        return item.model_copy(update={"id": item_id, "thread_id": thread_id}, deep=True)

    async def resolve(self, author_id: str, thread_id: str) -> str:
        """Return the id of the item that the author's id stands for now."""
        saved_ids = self._saved_as.get((thread_id, author_id))
        if not saved_ids:
            saved_ids = self._saved_as[thread_id, author_id] = [await self._free_id(author_id, PREFIX, thread_id)]
        return saved_ids[-1]

    async def _id_for(self, item: ThreadItem, thread_id: str, *, is_added: bool) -> str:
        saved_ids = self._saved_as.setdefault((thread_id, item.id), [])
        prefix, is_fake = PREFIXES.get(item.type, PREFIX), item.id == FAKE_RESPONSES_ID
        if not saved_ids and not is_fake:
            saved_ids.append(await self._free_id(item.id, prefix, thread_id))
        elif not saved_ids or not self._is_same(saved_ids[-1], item, is_added=is_added):
            saved_ids.append(new_id(prefix))
        return saved_ids[-1]

    def _is_same(self, saved_id: str, item: ThreadItem, *, is_added: bool) -> bool:
        """Return whether the event is about the item that has this id already."""
        if self._types.get(saved_id, item.type) != item.type:
            return False
        return saved_id not in self._done or (not is_added and item.id != FAKE_RESPONSES_ID)

    async def _free_id(self, author_id: str, prefix: str, thread_id: str) -> str:
        if author_id in self._generated:
            return author_id
        try:
            await self._store.check_item_id(thread_id, author_id, self._context)
        except IdClash:
            return derived_id(prefix, thread_id, author_id)
        return author_id
