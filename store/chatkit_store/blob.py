"""What a file of the storage is, and what can go wrong with it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from chatkit_store.errors import StoreError

CHUNK_BYTES = 256 * 1024


class BlobMissing(StoreError):
    """No file is stored under this key."""

    def __init__(self, message: str = "The file does not exist.") -> None:
        super().__init__(message)


class BlobsUnavailable(StoreError):
    """The disk or the service failed."""

    def __init__(self, message: str = "The file storage cannot be reached or written.") -> None:
        super().__init__(message)


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
