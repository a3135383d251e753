"""Threads in a folder of JSON files: those of `import --save`, or what people saved of the API's answers themselves.

A file has a thread with its items (`{"thread": {…}, "items": […]}`, or a thread with `items`), or threads or items
alone, as lists, as pages of the API, or one per line (.jsonl). The items of a thread may be in other files.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from ..errors.setup import SetupError
from .source import RawItem, Selection, SourceThread, Unreadable, id_of, read_thread, read_time

BATCH = 100
"""Items of a page."""
ENDINGS = (".json", ".jsonl")
CACHED_FILES = 8
"""Files whose content stays in memory: a file may have the items of many threads."""

ItemsOfThreads = dict[str, list[RawItem]]


class ThreadFolder:
    """The threads in the files of a folder and of the folders in it, or in a single file."""

    def __init__(self, folder: Path, selection: Selection) -> None:
        self.problems: list[str] = []
        self._folder = folder
        self._selection = selection
        self._threads: dict[str, SourceThread] = {}
        self._files: dict[str, list[Path]] = {}
        """The files with items of each thread."""
        self._unreadable: set[str] = set()
        """The ids of threads that a problem names."""
        self._read = lru_cache(CACHED_FILES)(read_file)

    async def threads(self) -> list[SourceThread]:
        """Return the selected threads, oldest first. Raises `SetupError` if there are no files."""
        for file in self._list_files():
            try:
                self._add(file, self._read(file))
            except Unreadable as error:
                self.problems.append(f"{file}: {error}.")
        for thread_id, files in self._files.items():
            if thread_id not in self._threads and thread_id not in self._unreadable:
                self.problems.append(f"{files[0]}: it has items of thread {thread_id}, but no file says whose that is.")
        threads = [thread for thread_id, thread in self._threads.items() if thread_id not in self._unreadable]
        return sorted(filter(self._selection.includes, threads), key=lambda thread: thread.created_at)

    async def pages(self, thread: SourceThread, after: str | None) -> AsyncIterator[list[RawItem]]:
        """Yield the items of a thread in order. Raises `Unreadable`."""
        parts = [oldest_first(self._read(file).items.get(thread.id, [])) for file in self._files.get(thread.id, ())]
        items: dict[str, RawItem] = {}
        for part in sorted(filter(None, parts), key=lambda part: _seconds(part[0])):
            for item_id, item in _by_id(part).items():
                items.setdefault(item_id, item)
        ids, rest = list(items), list(items.values())
        if after in items:
            rest = rest[ids.index(after) + 1 :]
        for start in range(0, len(rest), BATCH):
            yield rest[start : start + BATCH]

    def _list_files(self) -> list[Path]:
        if self._folder.is_file():
            return [self._folder]
        files = sorted(path for path in self._folder.rglob("*") if path.suffix in ENDINGS and path.is_file())
        if not files:
            what = "has no .json files" if self._folder.is_dir() else "does not exist"
            raise SetupError(f"The folder {self._folder} {what}.")
        return files

    def _add(self, file: Path, content: "FileContent") -> None:
        if not content.threads and not content.items:
            raise Unreadable("it has no threads of the hosted API")
        if content.others:
            self.problems.append(f"{file}: {content.others} of its entries are no threads or items of the hosted API.")
        for thread_id in content.items:
            self._files.setdefault(thread_id, []).append(file)
        for raw in content.threads:
            try:
                self._add_thread(_timed(raw, content.items))
            except Unreadable as error:
                self._unreadable.add(raw["id"])
                self.problems.append(f"{file}: {error}.")

    def _add_thread(self, raw: Mapping[str, Any]) -> None:
        thread = read_thread(raw)
        earlier = self._threads.setdefault(thread.id, thread)
        if (earlier.user, earlier.tenant) != (thread.user, thread.tenant):
            raise Unreadable(f"the id {thread.id} is that of two users' threads, {earlier.user}'s and {thread.user}'s")


class FileContent:
    """The threads and items of one file."""

    def __init__(self) -> None:
        self.threads: list[Mapping[str, Any]] = []
        self.items: ItemsOfThreads = {}
        self.others = 0
        """How many entries are neither."""

    def add(self, value: Any) -> None:
        """Add what a JSON value of any of the shapes has."""
        match value:
            case list():
                for entry in value:
                    self.add(entry)
            case {"thread": {"id": str() as thread_id} as thread}:
                self.threads.append(thread)
                self._add_items(thread_id, value.get("items", value.get("data")))
            case {"type": str() as kind, "thread_id": str() as thread_id} if kind.startswith("chatkit."):
                self.items.setdefault(thread_id, []).append(value)
            case {"id": str() as thread_id, "object": "chatkit.thread"} | {"id": str() as thread_id, "user": _}:
                self.threads.append(value)
                self._add_items(thread_id, value.get("items"))
            case {"data": list()} | {"threads": list()} | {"items": list()}:
                for name in ("threads", "data", "items"):
                    self.add(value.get(name, []))
            case _:
                self.others += 1

    def _add_items(self, thread_id: str, items: Any) -> None:
        if isinstance(items, Mapping):  # a page of the API
            items = items.get("data")
        if isinstance(items, list):
            objects = [item for item in items if isinstance(item, Mapping)]
            self.items.setdefault(thread_id, []).extend(objects)
            self.others += len(items) - len(objects)


def read_file(file: Path) -> FileContent:
    """Return the threads and items of a file. Raises `Unreadable`."""
    content = FileContent()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = "is a ZIP archive, which has to be unpacked" if is_zipfile(file) else "is not a text in UTF-8"
        raise Unreadable(getattr(error, "strerror", None) or f"it {what}") from error
    try:
        for value in _values(text, is_lines=file.suffix == ".jsonl"):
            content.add(value)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    return content


def _values(text: str, *, is_lines: bool) -> Iterator[Any]:
    first = 1
    for number, part in enumerate(text.splitlines() if is_lines else [text], first):
        if is_lines and not part.strip():
            continue
        try:
            yield json.loads(part)
        except json.JSONDecodeError as error:
            line = number if is_lines else error.lineno
            raise Unreadable(f"it is not valid JSON (line {line}, column {error.colno}: {error.msg})") from error
        except ValueError as error:  # such as a number of too many digits
            raise Unreadable("it is not valid JSON") from error


def oldest_first(items: list[RawItem]) -> list[RawItem]:
    """Return the items in their order, which may be reversed: the API lists the newest first unless it is asked not to.

    They are not sorted: of the items of one second, only the list says which came first.
    """
    return items[::-1] if items and _seconds(items[0]) > _seconds(items[-1]) else items


def _by_id(items: list[RawItem]) -> dict[str, RawItem]:
    """Return the items of one list by their ids. Raises `Unreadable` if two different ones have the same."""
    by_id: dict[str, RawItem] = {}
    for item in items:
        if by_id.setdefault(id_of(item), item) != item:
            raise Unreadable(f"two of its items have the id {id_of(item)}")
    return by_id


def _timed(raw: Mapping[str, Any], items: ItemsOfThreads) -> Mapping[str, Any]:
    """Return a thread that began with its first item, if it does not say when."""
    if raw.get("created_at") is not None:
        return raw
    times = [time for item in items.get(raw["id"], ()) if (time := read_time(item.get("created_at"))) is not None]
    return {**raw, "created_at": min(times).isoformat()} if times else raw


def _seconds(item: RawItem) -> float:
    moment = read_time(item.get("created_at"))
    return 0.0 if moment is None else moment.timestamp()
