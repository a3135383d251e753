"""Fetch the pictures of messages while their source still has them, and store them here.

The API hands out no content of other files, so those are lost.
"""

import asyncio
import base64
import io
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

import httpx2
from chatkit.types import ImageAttachment

from chatkit_store import Blobs, NotFound, Owner, UploadStore, clean_text, derived_id

from ..errors.http import InvalidFile
from ..errors.retry_after import retry_after
from ..files.file_names import safe_file_name
from ..files.file_threads import in_file_thread, in_preview_thread
from ..files.file_types import IMAGES, sniff
from ..files.previews import make_preview
from ..files.signed_links import download_reference, preview_key
from ..loops import backoff
from ..settings import Settings
from .imported_items import attachments_of
from .polite_calls import is_temporary
from .source import RawItem

OWN_ID = re.compile(r"atc_[0-9a-f]{32}")
"""The only ids that links can be made for."""
REPETITIONS = 4
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds."""


class PictureFetcher:
    """Reads the `preview_url` of an attachment, which may be the picture itself as a `data:` URL."""

    def __init__(self, client: httpx2.AsyncClient, max_bytes: int) -> None:
        self._client = client
        self._max_bytes = max_bytes

    async def fetch(self, attachment: Mapping[str, Any]) -> bytes | None:
        """Return the bytes of a picture, or None if they cannot be had."""
        url = attachment.get("preview_url")
        if attachment.get("type") not in ("image", None) or not isinstance(url, str):
            return None
        content = _decode(url) if url.startswith("data:") else await self._download(url)
        return content if content and len(content) <= self._max_bytes else None

    async def _download(self, url: str) -> bytes | None:
        """Return what is at the address, asked again while it fails for a moment: a note would stay for good."""
        for pause in [*islice(backoff(FIRST_PAUSE, LONGEST_PAUSE), REPETITIONS), None]:
            try:
                async with self._client.stream("GET", url, follow_redirects=True) as response:
                    if not is_temporary(response.status_code):
                        return await self._read(response) if response.status_code == httpx2.codes.OK else None
                    seconds = retry_after(response.headers)
            except (httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.TimeoutException):
                seconds = None
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
                return None
            if pause is None:
                break
            await asyncio.sleep(min(pause if seconds is None else seconds, LONGEST_PAUSE))
        return None

    async def _read(self, response: httpx2.Response) -> bytes | None:
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > self._max_bytes:
                return None
        return bytes(content)

    async def inline(self, item: RawItem) -> RawItem:
        """Return an item with its pictures as `data:` URLs: their addresses expire."""
        attachments = attachments_of(item)
        contents = {attachment["id"]: await self.fetch(attachment) for attachment in attachments}
        if not any(contents.values()):
            return item
        return {**item, "attachments": [_inlined(attachment, contents[attachment["id"]]) for attachment in attachments]}


class ImportedPictures:
    """Stores pictures as attachments of their thread."""

    def __init__(self, fetcher: PictureFetcher, uploads: UploadStore, blobs: Blobs, settings: Settings) -> None:
        self._fetcher = fetcher
        self._uploads = uploads
        self._blobs = blobs
        self._max_pixels = settings.image_max_pixels

    async def store(self, attachment: Mapping[str, Any], thread_id: str, owner: Owner) -> ImageAttachment | None:
        """Store a picture; return None if it cannot be fetched or is not one. Raises `StoreError`."""
        content = await self._fetcher.fetch(attachment)
        if content is None:
            return None
        file = io.BytesIO(content)
        mime_type = await in_file_thread(sniff, file, "")
        if mime_type not in IMAGES:
            return None
        try:
            preview = await in_preview_thread(make_preview, file, self._max_pixels)
        except InvalidFile:
            return None
        attachment_id = await self._id_of(attachment["id"], thread_id, owner)
        name = attachment.get("name")
        stored = ImageAttachment(
            id=attachment_id,
            name=safe_file_name(name if isinstance(name, str) else ""),
            mime_type=mime_type,
            preview_url=download_reference(attachment_id),
            thread_id=thread_id,
        )
        await self._uploads.keep(stored, len(content), owner)  # the row first: bytes without one are pruned
        await self._blobs.put(attachment_id, content)
        await self._blobs.put(preview_key(attachment_id), preview)
        return stored

    async def _id_of(self, source_id: str, thread_id: str, owner: Owner) -> str:
        """Return the source's id if it is free or this thread's, else one that is always the same."""
        if OWN_ID.fullmatch(source_id):
            if not await self._uploads.existing([source_id]):
                return source_id
            try:
                if (await self._uploads.load(source_id, owner)).attachment.thread_id == thread_id:
                    return source_id
            except NotFound:
                pass
        return derived_id("atc", thread_id, clean_text(source_id))


def _decode(url: str) -> bytes | None:
    head, _, data = url.partition(",")
    try:
        return base64.b64decode(data, validate=True) if head.endswith(";base64") else None
    except ValueError:  # not base64, or not even ASCII
        return None


def _inlined(attachment: Mapping[str, Any], content: bytes | None) -> Mapping[str, Any]:
    if content is None:
        return attachment
    kind = attachment.get("mime_type")
    data = base64.b64encode(content).decode()
    return {**attachment, "preview_url": f"data:{kind if isinstance(kind, str) else 'image/*'};base64,{data}"}
