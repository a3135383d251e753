"""Save threads to a folder, one JSON file each, as the API sends them: what `ThreadFolder` reads later."""

import hashlib
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from chatkit_store import clean_text

from ..errors.setup import SetupError
from .import_report import ImportReport
from .imported_items import is_waiting
from .source import RawItem, Source, SourceThread, Unreadable, id_of
from .thread_folder import FileContent, read_file

SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,120}")

Keep = Callable[[RawItem], Awaitable[RawItem]]
"""Returns an item with the pictures in it that only the API has now."""


class ThreadSaver:
    """Saves what the folder does not have yet, so that a second call continues the first."""

    def __init__(self, source: Source, folder: Path, keep: Keep, report: ImportReport, *, dry_run: bool) -> None:
        self._source = source
        self._folder = folder
        self._keep = keep
        self._report = report
        self._dry_run = dry_run

    async def take(self, thread: SourceThread) -> None:
        """Save one thread. Raises `SourceFailed`, `ThreadGone`, `Unreadable`, `SetupError` if it cannot be written."""
        file = self._folder / file_name(thread.id)
        content = _saved(file, thread.id)
        saved = content.items.get(thread.id, [])
        complete = saved[: _count_complete(saved)]
        saved_ids = {id_of(item) for item in complete}  # which the source repeats if it has to begin anew
        new: dict[str, RawItem] = {}
        async for page in self._source.pages(thread, id_of(complete[-1]) if complete else None):
            new |= {id_of(item): await self._keep(item) for item in page if id_of(item) not in saved_ids}
        items = [*complete, *new.values()]
        if content.threads != [thread.raw] or items != saved:
            self._write(file, {"thread": thread.raw, "items": items})
        count = len(items) - len(saved)
        self._report.count_thread(is_new=not content.threads, new_items=max(count, 0), user=thread.user)

    def _write(self, file: Path, content: dict[str, Any]) -> None:
        """Write a file as a whole or not at all, for those who stop the command, or run it twice at once."""
        if self._dry_run:
            return
        part = file.with_suffix(f".{token_hex(8)}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(clean_text(json.dumps(content, ensure_ascii=False, indent=1)), encoding="utf-8")
            os.replace(part, file)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise SetupError(f"The folder {self._folder} cannot be written: {error.strerror}.") from error


def file_name(thread_id: str) -> str:
    """Return the name of a thread's file: its id, where a file can have that name."""
    if SAFE_NAME.fullmatch(thread_id):
        return f"{thread_id}.json"
    return f"{hashlib.blake2b(thread_id.encode(errors='replace'), digest_size=16).hexdigest()}.json"


def _saved(file: Path, thread_id: str) -> FileContent:
    """Return what is saved of a thread; nothing if the file has to be written anew.

    Raises `Unreadable` if the file has something else, such as a thread whose id differs in upper case alone.
    """
    try:
        content = read_file(file) if file.exists() else None
    except Unreadable:
        content = None
    if content is None:
        return FileContent()
    if {raw["id"] for raw in content.threads} | set(content.items) != {thread_id}:
        raise Unreadable(f"{file} has something else, and is not overwritten")
    return content


def _count_complete(items: Sequence[RawItem]) -> int:
    """Return how many items need not be read again: all but the calls at the end that waited for their output."""
    count = len(items)
    while count and is_waiting(items[count - 1]):
        count -= 1
    return count
