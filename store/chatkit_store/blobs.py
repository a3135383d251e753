"""Bytes of files by key: on disk, or in any S3-compatible service. Whose they are and what they mean is in SQL."""

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
    """There are no bytes under this key."""


class BlobsUnavailable(StoreError):
    """The disk or the service failed."""


@dataclass(frozen=True)
class S3Access:
    """What an S3-compatible service may want; None leaves it to the usual AWS variables and roles."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Blob:
    """One entry of the list; `size` in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class OpenBlob:
    """What is read of a blob, even when another takes its place meanwhile; `size` in bytes."""

    size: int
    chunks: AsyncIterator[bytes]


class Blobs:
    """One place for files: a directory, or `s3://bucket/prefix`. Nothing is opened before the first call.

    Any method raises `BlobsUnavailable`. A blob is there as a whole or not at all.
    """

    def __init__(self, location: str, s3: S3Access = S3Access()) -> None:
        self.location = location
        self._s3 = s3

    async def put(self, key: str, content: bytes | IO[bytes]) -> None:
        """Write the bytes, or a file from where it stands to its end, in the place of what there was."""
        with _translated():
            await self._store.put_async(key, content)

    async def get(self, key: str) -> bytes:
        """All bytes. Raises `BlobMissing`."""
        with _translated():
            result = await self._store.get_async(key)
            return bytes(await result.bytes_async())

    async def open(self, key: str) -> OpenBlob:
        """The bytes in chunks, known to be there when this returns. Raises `BlobMissing`."""
        with _translated():
            result = await self._store.get_async(key)  # its size is that of the opened file, or of the response
        return OpenBlob(result.meta["size"], _chunks(result.stream(min_chunk_size=CHUNK_BYTES)))

    async def delete(self, *keys: str) -> None:
        """Delete them; one that is not there is none that fails."""
        with _translated():
            for key in keys:
                with suppress(FileNotFoundError, NotFoundError):
                    await self._store.delete_async(key)

    async def list(self) -> "AsyncIterator[list[Blob]]":
        """Everything there is, in batches."""
        with _translated():
            async for batch in self._store.list(chunk_size=500):
                yield [Blob(found["path"], found["size"]) for found in batch]

    def delete_half_written(self, before: datetime) -> int:
        """On disk: delete what a process that died was writing before that time; return how many files it was.

        (obstore 0.12 writes `<key>#<n>` first, and lists none of these.)
        """
        if self._is_s3:
            return 0
        with _translated():
            left = [path for path in Path(self.location).glob("*#*") if path.stat().st_mtime < before.timestamp()]
            for path in left:
                path.unlink(missing_ok=True)
        return len(left)

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
        """Of the access only what is given: obstore finds the rest as every AWS client does."""
        given: dict[str, Any] = {name: value for name, value in vars(self._s3).items() if value}
        given["retry_config"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}  # obstore's own: 3 minutes
        if (self._s3.endpoint or "").startswith("http://"):
            given["client_options"] = {"allow_http": True}
        return given


async def _chunks(stream: Any) -> AsyncIterator[bytes]:
    with _translated():
        async for chunk in stream:
            yield bytes(chunk)


@contextmanager
def _translated() -> Iterator[None]:
    """obstore raises its own errors and those of Python (0.12)."""
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise BlobMissing("The file is not there.") from error
    except (BaseError, OSError) as error:
        raise BlobsUnavailable("The place for files cannot be reached or written.") from error
