"""Files in a bucket of an S3-compatible service. Needs the extra `s3`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import IO, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from chatkit_store.blob import CHUNK_BYTES, Blob, BlobMissing, BlobsUnavailable, OpenBlob, S3Access


class BlobBucket:
    """The files below `s3://bucket/prefix`; the first call opens the bucket. Its methods are described in `Blobs`."""

    def __init__(self, location: str, access: S3Access) -> None:
        self._location = location
        self._access = access

    async def put(self, key: str, content: bytes | IO[bytes]) -> None:
        with _translated():
            await self._store.put_async(key, content)

    async def open(self, key: str) -> OpenBlob:
        with _translated():
            result = await self._store.get_async(key)  # `size` is that of the response
        return OpenBlob(result.meta["size"], _chunks(result.stream(min_chunk_size=CHUNK_BYTES)))

    async def delete(self, key: str) -> None:
        with _translated(), suppress(FileNotFoundError, NotFoundError):
            await self._store.delete_async(key)

    async def batches(self) -> AsyncIterator[list[Blob]]:
        with _translated():
            async for batch in self._store.list(chunk_size=500):
                yield [Blob(entry["path"], entry["size"]) for entry in batch]

    def delete_half_written(self, before: datetime) -> int:
        """Return 0: the service shows no file before it is complete."""
        return 0

    @cached_property
    def _store(self) -> S3Store:
        url = urlsplit(self._location)
        return S3Store(url.netloc, prefix=url.path.strip("/") or None, **self._options())

    def _options(self) -> dict[str, Any]:
        """Return only the given options: obstore finds the others like every AWS client."""
        options: dict[str, Any] = {name: value for name, value in vars(self._access).items() if value}
        options["retry_config"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}  # default: 3 minutes
        if (self._access.endpoint or "").startswith("http://"):
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
        raise BlobMissing from error
    except (BaseError, OSError) as error:
        raise BlobsUnavailable from error
