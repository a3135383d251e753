"""Delete uploads that were never sent, the bytes that deleted threads left behind, and ended chat sessions."""

import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chatkit_store import Blob, Blobs, ChatSessionStore, UploadStore

from ..loops import Periodic
from .file_threads import in_file_thread

logger = logging.getLogger(__name__)

MAX_WRITE_TIME = timedelta(hours=1)
"""Older half-written files are leftovers: no upload takes that long."""

KEEP_SESSIONS = timedelta(days=1)
"""How long the secrets of sessions are kept after their end."""


@dataclass(frozen=True)
class PruneResult:
    """Counts of deleted files; an image and its preview count as one."""

    unsent: int
    orphaned: int
    size: int
    """Total of both, in bytes."""


class Pruner:
    """Delete uploads that were not sent within `keep`, bytes without a row, and sessions that ended a day ago.

    Several processes may prune at the same time.
    """

    def __init__(self, uploads: UploadStore, blobs: Blobs, keep: timedelta, sessions: ChatSessionStore) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._keep = keep
        self._sessions = sessions

    async def prune(self, *, dry_run: bool = False) -> PruneResult:
        """Delete once and return what was deleted; with `dry_run`, only count. Raises `chatkit_store.StoreError`."""
        before = datetime.now(UTC) - self._keep
        unsent = await (self._uploads.list_unsent(before) if dry_run else self._uploads.delete_unsent(before))
        if not dry_run:
            await self._sessions.prune(datetime.now(UTC) - KEEP_SESSIONS)
            await in_file_thread(self._blobs.delete_half_written, datetime.now(UTC) - MAX_WRITE_TIME)
        orphaned, size = await self._delete_orphaned(set(unsent), dry_run)
        return PruneResult(len(unsent), len(orphaned - set(unsent)), size)

    def running(self, every: timedelta) -> AbstractAsyncContextManager[None]:
        """Prune regularly inside the block; never if `every` is zero."""
        if not every:
            return nullcontext()
        return Periodic("pruning of files", every.total_seconds(), self._prune_and_log).running()

    async def _delete_orphaned(self, unsent: set[str], dry_run: bool) -> tuple[set[str], int]:
        orphaned: set[str] = set()
        size = 0
        async for batch in self._blobs.list():
            # A row is written before its bytes, and this query runs after listing them: no row means it was deleted.
            owned = await self._uploads.existing({_attachment_id(blob) for blob in batch}) - unsent
            for blob in batch:
                if (attachment_id := _attachment_id(blob)) not in owned:
                    orphaned.add(attachment_id)
                    size += blob.size
                    if not dry_run:
                        await self._blobs.delete(blob.key)
        return orphaned, size

    async def _prune_and_log(self) -> None:
        result = await self.prune()
        if result.unsent or result.orphaned:
            logger.info("deleted %d unsent and %d orphaned files", result.unsent, result.orphaned)


def _attachment_id(blob: Blob) -> str:
    """Return the id of the row that the blob belongs to."""
    return blob.key.partition(".")[0]
