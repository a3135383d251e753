"""Import a thread: each page of its items is saved before the next is read, so it may stop at any moment."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from chatkit.types import ThreadMetadata

from chatkit_store import NotFound, Owner, clean_text, derived_id, is_notice_id, new_id

from ..auth.login import is_identifier
from .destination import Destination
from .import_report import ImportReport
from .imported_items import ImportedItem, attachments_of, convert_item, is_waiting
from .source import RawItem, Source, SourceThread, Unreadable, id_of

USABLE_ID = re.compile(r"(?=.*[^.])[A-Za-z0-9_.:=@~+-]{1,255}")
"""Ids that clients may send, also as a part of a path that proxies and clients leave as it is."""
MAX_SOURCE_ID = 512
"""Characters of a thread's id at its source: it is part of an index."""
FAKE_ID = "__fake_id__"
"""chatkit's placeholder for an id."""


class Importer:
    """Imports threads of a source, for the users of one tenant if it is named, else of the source's."""

    def __init__(self, source: Source, destination: Destination, report: ImportReport, tenant: str) -> None:
        self._source = source
        self._destination = destination
        self._report = report
        self._tenant = tenant

    async def take(self, thread: SourceThread) -> None:
        """Import one thread, or what is new of it. Raises `SourceFailed`, `ThreadGone`, `Unreadable`, `StoreError`."""
        if len(thread.id) > MAX_SOURCE_ID:
            raise Unreadable(f"its id has more than {MAX_SOURCE_ID} characters")
        owner = Owner(self._tenant or thread.tenant, thread.user)
        if not is_identifier(owner.user_id) or (owner.tenant and not is_identifier(owner.tenant)):
            raise Unreadable("its user or tenant is one that no login could have")
        existing = await self._destination.find(thread.id, owner)
        if existing is not None and existing.is_deleted:
            self._report.deleted += 1
            return
        after = None if existing is None else existing.last_item_id
        pages = self._source.pages(thread, after)
        # Before anything is written: a source that fails leaves no empty thread.
        first: list[RawItem] = await anext(pages, [])
        place = await self._destination.begin(thread.id, _metadata(thread), owner)
        try:
            new_items = await self._take_items(thread, place.thread_id, after, _chain(first, pages), owner)
        except NotFound:  # deleted here in this very moment
            self._report.deleted += 1
            return
        self._report.count_thread(is_new=existing is None, new_items=new_items, user=thread.user)

    async def _take_items(
        self, thread: SourceThread, thread_id: str, after: str | None, pages: AsyncIterator[list[RawItem]], owner: Owner
    ) -> int:
        count, earlier = 0, thread.created_at
        async for page in pages:
            converted: list[ImportedItem] = []
            for raw in page:
                converted.append(await self._convert(raw, thread_id, earlier, owner))
                earlier = converted[-1].item.created_at
            after = _last_complete(page) or after
            items = [entry.item for entry in converted]
            written = await self._destination.append(thread.id, items, after, owner)
            count += written
            if written:  # else the page only repeats what was there
                self._report.notes.update(kind for entry in converted for kind in entry.notes)
        return count

    async def _convert(self, raw: RawItem, thread_id: str, earlier: datetime, owner: Owner) -> ImportedItem:
        source_id = id_of(raw)
        files = {}
        for attachment in attachments_of(raw):
            if (file := await self._destination.take_file(attachment, thread_id, owner)) is not None:
                files[attachment["id"]] = file
        self._report.pictures += len(files)
        return convert_item(raw, item_id(source_id, thread_id), thread_id, earlier, files)


def item_id(source_id: str, thread_id: str) -> str:
    """Return the source's id if this server can use it, else one that is always the same."""
    if USABLE_ID.fullmatch(source_id) and source_id != FAKE_ID and not is_notice_id(source_id):
        return source_id
    return derived_id("imp", thread_id, clean_text(source_id))


def _metadata(thread: SourceThread) -> ThreadMetadata:
    return ThreadMetadata(
        id=thread.id if USABLE_ID.fullmatch(thread.id) else new_id("thr"),
        title=thread.title,
        created_at=thread.created_at,
        status=thread.status,
    )


def _last_complete(page: Sequence[RawItem]) -> str | None:
    """Return the id of the last item that is not read again by the next import, or None if there is none."""
    for raw in reversed(page):
        if not is_waiting(raw):
            return id_of(raw)
    return None


async def _chain(first: list[RawItem], rest: AsyncIterator[list[RawItem]]) -> AsyncIterator[list[RawItem]]:
    if first:
        yield first
    async for page in rest:
        yield page
