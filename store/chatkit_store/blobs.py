"""Store the bytes of files by key, on disk or in an S3-compatible service. Their metadata is in SQL."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store

from chatkit_store.errors import StoreError

CHUNK_BYTES = 256 * 1024


class BlobMissing(StoreError):
    """No file is stored under this key."""


class BlobsUnavailable(StoreError):
    """The disk or the service failed."""


@dataclass(frozen=True)
class S3Access:
    """Options of an S3-compatible service; None falls back to the usual AWS variables and roles."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Blob:
    """One entry of a listing; `size` in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class OpenBlob:
    """A blob being read, unaffected by a later `put`; `size` in bytes."""

    size: int
    chunks: AsyncIterator[bytes]


class Blobs:
    """Files in a directory or `s3://bucket/prefix`, which is opened by the first call.

    Any method raises `BlobsUnavailable`. A blob is written atomically.
    """

    def __init__(self, location: str, s3: S3Access = S3Access()) -> None:
        self.location = location
        self._s3 = s3

    async def put(self, key: str, content: bytes | IO[bytes]) -> None:
        """Write bytes, or a file from its current position to its end; replaces an existing blob."""
        with _translated():
            await self._store.put_async(key, content)

    async def get(self, key: str) -> bytes:
        """Return all bytes. Raises `BlobMissing`."""
        with _translated():
            result = await self._store.get_async(key)
            return bytes(await result.bytes_async())

    async def open(self, key: str) -> OpenBlob:
        """Return the bytes in chunks. Raises `BlobMissing` before the first chunk."""
        with _translated():
            result = await self._store.get_async(key)  # `size` is that of the opened file or response
        return OpenBlob(result.meta["size"], _chunks(result.stream(min_chunk_size=CHUNK_BYTES)))

    async def delete(self, *keys: str) -> None:
        """Delete blobs; missing ones are ignored."""
        with _translated():
            for key in keys:
                with suppress(FileNotFoundError, NotFoundError):
                    await self._store.delete_async(key)

    async def list(self) -> "AsyncIterator[list[Blob]]":
        """Yield all blobs in batches."""
        with _translated():
            async for batch in self._store.list(chunk_size=500):
                yield [Blob(entry["path"], entry["size"]) for entry in batch]

    def delete_half_written(self, before: datetime) -> int:
        """Delete files on disk that a dead process left half written before a time; return their number.

        obstore 0.12 writes `<key>#<n>` first and does not list these files.
        """
        if self._is_s3:
            return 0
        with _translated():
            paths = [path for path in Path(self.location).glob("*#*") if path.stat().st_mtime < before.timestamp()]
            for path in paths:
                path.unlink(missing_ok=True)
        return len(paths)

    @property
    def _is_s3(self) -> bool:
        return self.location.startswith("s3://")

    @cached_property
    def _store(self) -> ObjectStore:
        if not self._is_s3:
            return LocalStore(Path(self.location).absolute(), mkdir=True)
        url = urlsplit(self.location)
        return S3Store(url.netloc, prefix=url.path.strip("/") or None, **self._s3_options())

    def _s3_options(self) -> dict[str, Any]:
        """Return only the given options: obstore finds the others like every AWS client."""
        options: dict[str, Any] = {name: value for name, value in vars(self._s3).items() if value}
        options["retry_config"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}  # default: 3 minutes
        if (self._s3.endpoint or "").startswith("http://"):
            options["client_options"] = {"allow_http": True}
        return options


async def _chunks(stream: Any) -> AsyncIterator[bytes]:
    with _translated():
        async for chunk in stream:
            yield bytes(chunk)


@contextmanager
def _translated() -> Iterator[None]:
    """Translate errors: obstore 0.12 raises its own and Python's."""
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise BlobMissing("The file does not exist.") from error
    except (BaseError, OSError) as error:
        raise BlobsUnavailable("The file storage cannot be reached or written.") from error
