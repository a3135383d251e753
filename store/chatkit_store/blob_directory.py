"""Files in a directory. Each is written under another name first, so that nobody reads half of one."""

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TypeVar
from uuid import uuid4

from chatkit_store.blob import CHUNK_BYTES, Blob, BlobMissing, BlobsUnavailable, OpenBlob

HALF_WRITTEN = "#"
"""Between a key and what makes the name of an unfinished file unique. No key contains it."""
BATCH = 500

T = TypeVar("T")

_THREADS = ThreadPoolExecutor(4, "blob")
"""Not the loop's own, which the tools of agents may keep busy."""


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function)


class BlobDirectory:
    """The files of one directory, which the first `put` creates. Its methods are described in `Blobs`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, content: bytes | IO[bytes]) -> None:
        is_abandoned = threading.Event()
        try:
            with _translated():
                await _in_thread(partial(self._write, self._path(key), content, is_abandoned))
        finally:
            is_abandoned.set()  # a cancelled call leaves its thread behind, which must not bring the file back later

    def _write(self, path: Path, content: bytes | IO[bytes], is_abandoned: threading.Event) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        half_written = path.with_name(f"{path.name}{HALF_WRITTEN}{uuid4().hex}")
        try:
            with half_written.open("xb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    shutil.copyfileobj(content, file, CHUNK_BYTES)
            if not is_abandoned.is_set():
                half_written.replace(path)
        finally:
            half_written.unlink(missing_ok=True)

    async def open(self, key: str) -> OpenBlob:
        with _translated():
            file = await _in_thread(partial(_OpenFile, self._path(key)))
        return OpenBlob(file.size, _chunks(file))

    async def delete(self, key: str) -> None:
        with _translated():
            await _in_thread(partial(self._path(key).unlink, missing_ok=True))

    async def batches(self) -> AsyncIterator[list[Blob]]:
        with _translated():
            blobs = await _in_thread(self._blobs)
        for start in range(0, len(blobs), BATCH):
            yield blobs[start : start + BATCH]

    def _blobs(self) -> list[Blob]:
        blobs = []
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                if HALF_WRITTEN not in path.name and path.is_file():
                    blobs.append(Blob(path.relative_to(self._folder).as_posix(), path.stat().st_size))
        return blobs

    def delete_half_written(self, before: datetime) -> int:
        with _translated():
            paths = [
                path for path in self._folder.rglob(f"*{HALF_WRITTEN}*") if path.stat().st_mtime < before.timestamp()
            ]
            for path in paths:
                path.unlink(missing_ok=True)
        return len(paths)

    def _path(self, key: str) -> Path:
        """Return the file of a key. Raises `ValueError` for a key that leads out of the directory."""
        if HALF_WRITTEN in key or not (parts := key.split("/")) or {"", ".", ".."} & set(parts) or "\\" in key:
            raise ValueError(f"not a key of a file: {key!r}")
        return self._folder.joinpath(*parts)


class _OpenFile:
    """A file that is open for reading, and closed with the last reference: nobody may ever ask for a chunk."""

    _descriptor: int | None = None

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.size = os.fstat(self._descriptor).st_size

    def read(self) -> bytes:
        return b"" if self._descriptor is None else os.read(self._descriptor, CHUNK_BYTES)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    __del__ = close


async def _chunks(file: _OpenFile) -> AsyncIterator[bytes]:
    with _translated():
        while chunk := await _in_thread(file.read):
            yield chunk
    file.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing from error
    except OSError as error:
        raise BlobsUnavailable from error
