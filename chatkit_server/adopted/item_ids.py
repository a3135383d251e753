"""Ids of the items that an author's code makes. Rows need ids that no other item has; the author's may repeat.

An id that is free, or of this thread, is kept. A new one replaces `__fake_id__`, which the Agents SDK gives to all
items of Chat Completions, and an id that is added again after its item was done.
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

from chatkit_store import new_id

PREFIXES = {
    "client_tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "hidden_context_item": "shcx",
    "sdk_hidden_context": "shcx",
}
"""Of new ids, by the item's type; `msg` for all others."""


class ItemIds:
    """The ids in one request: from the author's to those that are saved."""

    def __init__(self) -> None:
        self._saved_as: dict[str, list[str]] = {}
        """All ids that the author's id stands for, the current one last."""
        self._types: dict[str, str] = {}
        """The type of the item, by the id that is saved."""
        self._done: set[str] = set()
        """The saved ids of items that are done."""

    def translate(self, event: ThreadStreamEvent) -> Sequence[ThreadStreamEvent]:
        """Return the event with the ids that are saved. One that removes an id removes all items that had it."""
        match event:
            case ThreadItemAddedEvent():
                return [event.model_copy(update={"item": self._renamed(event.item, is_added=True)})]
            case ThreadItemDoneEvent():
                item = self._renamed(event.item, is_added=False)
                self._done.add(item.id)
                return [event.model_copy(update={"item": item})]
            case ThreadItemReplacedEvent():
                return [event.model_copy(update={"item": self._renamed(event.item, is_added=False)})]
            case ThreadItemUpdatedEvent():
                item_id = self.current(event.item_id)
                return [event if item_id == event.item_id else event.model_copy(update={"item_id": item_id})]
            case ThreadItemRemovedEvent():
                removed_ids = self._saved_as.pop(event.item_id, [event.item_id])
                return [ThreadItemRemovedEvent(item_id=item_id) for item_id in removed_ids]
            case _:
                return [event]

    def current(self, author_id: str) -> str:
        """Return the id of the item that the author's id stands for now."""
        return self._saved_as.get(author_id, [author_id])[-1]

    def rename(self, item: ThreadItem) -> ThreadItem:
        """Return the item with the id under which it is saved outside of the event stream."""
        return self._renamed(item, is_added=False)

    def _renamed(self, item: ThreadItem, *, is_added: bool) -> ThreadItem:
        item_id = self._id_for(item, is_added=is_added)
        self._types[item_id] = item.type
        return item if item_id == item.id else item.model_copy(update={"id": item_id})

    def _id_for(self, item: ThreadItem, *, is_added: bool) -> str:
        saved_ids = self._saved_as.setdefault(item.id, [])
        if saved_ids and self._is_same(saved_ids[-1], item, is_added=is_added):
            return saved_ids[-1]
        is_free = not saved_ids and item.id != FAKE_RESPONSES_ID
        saved_ids.append(item.id if is_free else new_id(PREFIXES.get(item.type, "msg")))
        return saved_ids[-1]

    def _is_same(self, saved_id: str, item: ThreadItem, *, is_added: bool) -> bool:
        """Return whether the event is about the item that has this id already."""
        if self._types[saved_id] != item.type:
            return False
        return saved_id not in self._done or (not is_added and item.id != FAKE_RESPONSES_ID)
