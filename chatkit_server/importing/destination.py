"""Where imported threads go: the database and the files of this server, or nowhere, for a rehearsal."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chatkit.types import Attachment, FileAttachment, ThreadItem, ThreadMetadata

from chatkit_store import ImportedThread, ImportStore, Owner

from .pictures import ImportedPictures, PictureFetcher


class Destination(Protocol):
    """Takes threads; see `chatkit_store.ImportStore`."""

    async def find(self, source_id: str, owner: Owner) -> ImportedThread | None:
        """Return what was taken over of a thread before."""
        ...

    async def begin(self, source_id: str, thread: ThreadMetadata, owner: Owner) -> ImportedThread:
        """Take a thread without its items."""
        ...

    async def append(self, source_id: str, new: Sequence[ThreadItem], last_item_id: str | None, owner: Owner) -> int:
        """Take items, and return how many were new."""
        ...

    async def take_file(self, attachment: Mapping[str, Any], thread_id: str, owner: Owner) -> Attachment | None:
        """Take a file of a message, or return None if it cannot be fetched."""
        ...


class ServerDestination:
    """The database and the files of this server."""

    def __init__(self, imports: ImportStore, pictures: ImportedPictures) -> None:
        self.find = imports.find
        self.begin = imports.begin
        self.append = imports.append
        self.take_file = pictures.store


class Rehearsal:
    """Reads the database and writes nothing."""

    def __init__(self, imports: ImportStore | None, fetcher: PictureFetcher) -> None:
        """Without `imports`, nothing was imported before: the database is not there yet."""
        self._imports = imports
        self._fetcher = fetcher

    async def find(self, source_id: str, owner: Owner) -> ImportedThread | None:
        """See `Destination.find`."""
        return None if self._imports is None else await self._imports.find(source_id, owner)

    async def begin(self, source_id: str, thread: ThreadMetadata, owner: Owner) -> ImportedThread:
        """Return where the thread would be."""
        return await self.find(source_id, owner) or ImportedThread(thread.id, None, is_deleted=False)

    async def append(self, source_id: str, new: Sequence[ThreadItem], last_item_id: str | None, owner: Owner) -> int:
        """Return how many items it would take."""
        return len(new) if self._imports is None else await self._imports.count_new(source_id, new, owner)

    async def take_file(self, attachment: Mapping[str, Any], thread_id: str, owner: Owner) -> Attachment | None:
        """Fetch the file, and return something in its place if that worked."""
        if await self._fetcher.fetch(attachment) is None:
            return None
        return FileAttachment(id=str(attachment["id"]), name="", mime_type="")
