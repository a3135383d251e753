"""Store the bytes of files by key, on disk or in an S3-compatible service. Their metadata is in SQL."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

from chatkit_store.blob import Blob, OpenBlob, S3Access
from chatkit_store.blob_directory import BlobDirectory
from chatkit_store.extras import require_extra


class BlobPlace(Protocol):
    """Where blobs are: a directory or a bucket. The methods are those of `Blobs`, and raise the same errors."""

    async def put(self, key: str, content: bytes | IO[bytes]) -> None: ...
    async def open(self, key: str) -> OpenBlob: ...
    async def delete(self, key: str) -> None: ...
    def batches(self) -> AsyncIterator[list[Blob]]: ...
    def delete_half_written(self, before: datetime) -> int: ...


class Blobs:
    """Files in a directory or `s3://bucket/prefix`, which is opened by the first call.

    Any method raises `BlobsUnavailable`. A blob is written atomically. S3 needs the extra `s3`; without it, this raises
    `ExtraMissing`.
    """

    def __init__(self, location: str, s3: S3Access | None = None) -> None:
        self.location = location
        self._s3 = s3 or S3Access()
        if self._is_s3:
            require_extra("s3", "obstore", "File storage in S3")

    async def put(self, key: str, content: bytes | IO[bytes]) -> None:
        """Write bytes, or a file from its current position to its end; replaces an existing blob."""
        await self._place.put(key, content)

    async def get(self, key: str) -> bytes:
        """Return all bytes. Raises `BlobMissing`."""
        return b"".join([chunk async for chunk in (await self._place.open(key)).chunks])

    async def open(self, key: str) -> OpenBlob:
        """Return the bytes in chunks. Raises `BlobMissing` before the first chunk."""
        return await self._place.open(key)

    async def delete(self, *keys: str) -> None:
        """Delete blobs; missing ones are ignored."""
        for key in keys:
            await self._place.delete(key)

    async def list(self) -> "AsyncIterator[list[Blob]]":
        """Yield all blobs in batches."""
        async for batch in self._place.batches():
            yield batch

    def delete_half_written(self, before: datetime) -> int:
        """Delete files on disk that a dead process left half written before a time; return their number."""
        return self._place.delete_half_written(before)

    @property
    def _is_s3(self) -> bool:
        return self.location.startswith("s3://")

    @cached_property
    def _place(self) -> BlobPlace:
        if self._is_s3:
            from chatkit_store.blob_bucket import BlobBucket  # obstore is only there with the extra

            return BlobBucket(self.location, self._s3)
        return BlobDirectory(Path(self.location).absolute())
