"""Files that nobody holds any more: uploads that were never sent, and what is left of deleted conversations."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chatkit_store import Blob, Blobs, StoreError, StoreUnavailable, UploadStore

from ..errors.log_format import redacted_traceback
from ..errors.outage import database_outage

logger = logging.getLogger(__name__)

PRUNING = "the pruning of files"
WRITING = timedelta(hours=1)
"""No file takes so long to be written."""


@dataclass(frozen=True)
class PruneResult:
    """What was collected; a picture's preview is not counted by itself."""

    unsent: int
    orphaned: int
    size: int
    """Bytes of all of them."""


class Pruner:
    """Deletes uploads that were not sent within `keep`, and bytes without a row.

    Any number of processes may do it at once.
    """

    def __init__(self, uploads: UploadStore, blobs: Blobs, keep: timedelta) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._keep = keep

    async def prune(self, *, dry_run: bool = False) -> PruneResult:
        """Does it once; with `dry_run` it only counts. Raises a `store.StoreError`."""
        before = datetime.now(UTC) - self._keep
        unsent = await (self._uploads.list_unsent(before) if dry_run else self._uploads.delete_unsent(before))
        if not dry_run:
            await asyncio.to_thread(self._blobs.delete_half_written, datetime.now(UTC) - WRITING)
        left_over, size = await self._delete_left_over(set(unsent), dry_run)
        return PruneResult(len(unsent), len(left_over - set(unsent)), size)

    @asynccontextmanager
    async def now_and_then(self, every: timedelta) -> AsyncIterator[None]:
        """Does it again and again while the server runs; never where `every` is zero."""
        if not every:
            yield
            return
        task = asyncio.create_task(self._for_ever(every), name="pruning of files")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _delete_left_over(self, unsent: set[str], dry_run: bool) -> tuple[set[str], int]:
        found: set[str] = set()
        size = 0
        async for batch in self._blobs.list():
            # Asked after the list was made, and a row is written before its bytes: no row means that it was deleted.
            known = await self._uploads.existing({_owner(blob) for blob in batch}) - unsent
            for blob in batch:
                if _owner(blob) not in known:
                    found.add(_owner(blob))
                    size += blob.size
                    if not dry_run:
                        await self._blobs.delete(blob.key)
        return found, size

    async def _for_ever(self, every: timedelta) -> None:
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                done = await self.prune()
                database_outage.worked(PRUNING)
            except StoreUnavailable as error:
                database_outage.failed(PRUNING, error)
                continue
            except StoreError as error:
                logger.error("files could not be pruned\n%s", redacted_traceback(error))
                continue
            if done.unsent or done.orphaned:
                logger.info("deleted %d unsent and %d left-over files", done.unsent, done.orphaned)


def _owner(blob: Blob) -> str:
    """The id of the row that a blob belongs to."""
    return blob.key.partition(".")[0]
