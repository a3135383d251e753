"""Write threads to a folder, one JSON file each, in the shape of OpenAI's API: `import FOLDER` reads them."""

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from chatkit.types import ThreadItem

from chatkit_store import AllThreadsStore, BlobMissing, Blobs, Cursors, OwnedThread, clean_text

from ..importing.thread_saving import file_name
from ..routes.openai_items import openai_item, openai_thread

PAGE = 100
FILES = "files"
"""The folder beside the threads with the bytes of attachments, by their ids."""


class ThreadExporter:
    """Exports threads with the conversation that a user sees, and its files."""

    def __init__(self, threads: AllThreadsStore, blobs: Blobs, folder: Path) -> None:
        self._threads = threads
        self._blobs = blobs
        self._folder = folder
        self.files = 0
        """How many attachments were written."""

    async def export(self, thread: OwnedThread) -> Path:
        """Write a thread, replacing what an earlier export wrote of it; return its file. Raises `StoreError`."""
        items = [await self._with_files(item) async for item in api_items(self._threads, thread.thread.id)]
        content = {"thread": openai_thread(thread).model_dump(mode="json"), "items": items}
        file = self._folder / file_name(thread.thread.id)
        self._folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(clean_text(json.dumps(content, ensure_ascii=False, indent=1)), encoding="utf-8")
        os.replace(part, file)
        return file

    async def _with_files(self, item: dict[str, Any]) -> dict[str, Any]:
        """Write the item's files, and return it with pictures as `data:` URLs, as `import --save` has them."""
        attachments = []
        for attachment in item.get("attachments") or ():
            try:
                content = await self._blobs.get(attachment["id"])
            except BlobMissing:
                attachments.append(attachment)
                continue
            (self._folder / FILES).mkdir(parents=True, exist_ok=True)
            (self._folder / FILES / attachment["id"]).write_bytes(content)
            self.files += 1
            if attachment["type"] == "image":
                data = base64.b64encode(content).decode()
                attachment = {**attachment, "preview_url": f"data:{attachment['mime_type']};base64,{data}"}
            attachments.append(attachment)
        return {**item, "attachments": attachments} if attachments else item


async def api_items(threads: AllThreadsStore, thread_id: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the conversation of a thread in order, each item as in OpenAI's API. Raises `StoreError`."""
    async for item in items_of(threads, thread_id):
        yield openai_item(item).model_dump(mode="json")


async def items_of(threads: AllThreadsStore, thread_id: str) -> AsyncIterator[ThreadItem]:
    """Yield the conversation of a thread in order. Raises `StoreError`."""
    cursors = Cursors()
    while True:
        page = await threads.load_items(thread_id, cursors, PAGE, "asc")
        for item in page.data:
            yield item
        if not page.has_more:
            return
        cursors = Cursors(after=page.data[-1].id)
