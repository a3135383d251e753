"""The store that such servers begin with: everything in dicts of one process, one user for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chatkit.store import NotFoundError, Store
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata


@dataclass
class _Entry:
    thread: ThreadMetadata
    items: list[ThreadItem] = field(default_factory=list)


class MemoryStore(Store[dict[str, Any]]):
    """Keeps threads, items and attachments until the process ends."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._attachments: dict[str, Attachment] = {}

    # -- threads

    async def load_thread(self, thread_id: str, context: dict[str, Any]) -> ThreadMetadata:
        if thread_id not in self._entries:
            raise NotFoundError(f"No thread {thread_id}")
        return self._entries[thread_id].thread.model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: dict[str, Any]) -> None:
        metadata = ThreadMetadata(**thread.model_dump(exclude={"items"}))
        if thread.id in self._entries:
            self._entries[thread.id].thread = metadata
        else:
            self._entries[thread.id] = _Entry(metadata)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: dict[str, Any]
    ) -> Page[ThreadMetadata]:
        threads = [entry.thread.model_copy(deep=True) for entry in self._entries.values()]
        threads.sort(key=lambda thread: thread.created_at, reverse=order == "desc")
        return self._page(threads, limit, after)

    async def delete_thread(self, thread_id: str, context: dict[str, Any]) -> None:
        self._entries.pop(thread_id, None)

    # -- items

    def _items(self, thread_id: str) -> list[ThreadItem]:
        if thread_id not in self._entries:
            self._entries[thread_id] = _Entry(ThreadMetadata(id=thread_id, created_at=datetime.now()))
        return self._entries[thread_id].items

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: dict[str, Any]
    ) -> Page[ThreadItem]:
        items = [item.model_copy(deep=True) for item in self._items(thread_id)]
        if order == "desc":
            items.reverse()
        return self._page(items, limit, after)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        self._items(thread_id).append(item.model_copy(deep=True))

    async def save_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        items = self._items(thread_id)
        for index, existing in enumerate(items):
            if existing.id == item.id:
                items[index] = item.model_copy(deep=True)
                return
        items.append(item.model_copy(deep=True))

    async def load_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> ThreadItem:
        for item in self._items(thread_id):
            if item.id == item_id:
                return item.model_copy(deep=True)
        raise NotFoundError(f"No item {item_id}")

    async def delete_thread_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> None:
        items = self._items(thread_id)
        items[:] = [item for item in items if item.id != item_id]

    # -- attachments

    async def save_attachment(self, attachment: Attachment, context: dict[str, Any]) -> None:
        self._attachments[attachment.id] = attachment

    async def load_attachment(self, attachment_id: str, context: dict[str, Any]) -> Attachment:
        if attachment_id not in self._attachments:
            raise NotFoundError(f"No attachment {attachment_id}")
        return self._attachments[attachment_id]

    async def delete_attachment(self, attachment_id: str, context: dict[str, Any]) -> None:
        self._attachments.pop(attachment_id, None)

    @staticmethod
    def _page(rows: list[Any], limit: int, after: str | None) -> Page[Any]:
        start = next((index + 1 for index, row in enumerate(rows) if row.id == after), 0)
        page = rows[start : start + limit]
        has_more = len(rows) > start + limit
        return Page(data=page, has_more=has_more, after=page[-1].id if has_more else None)
