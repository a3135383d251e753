"""Files that users attach: announced, received, checked, kept. The bytes lie in `store.Blobs`, the rest in SQL.

Direct: `receive` makes the attachment and takes its bytes. Two-phase: `create_attachment` makes it, `complete` takes
the bytes later. Bytes are looked at before they are kept, and nothing of a refused file stays.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import IO

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
)

from chatkit_store import Blobs, BlobsUnavailable, NotFound, OpenBlob, UploadStore, new_id

from ..context import RequestContext
from ..errors.http import AlreadyUploaded, Conflict, FileTooLarge, InvalidFile, TooManyFiles, UnsupportedFile
from ..models import ModelInfo
from ..settings import Settings
from .file_names import safe_file_name
from .file_types import contradicts, is_allowed, kind_of, plain_type, sniff
from .previews import make_preview
from .signed_links import download_reference, preview_key, upload_reference

UNREADABLE = {"image": "pictures", "pdf": "PDF files"}
"""Kinds of files that not every model reads."""


@dataclass(frozen=True)
class Content:
    """What a file turned out to be; `size` in bytes."""

    mime_type: str
    size: int
    preview: bytes | None


@dataclass(frozen=True)
class StoredFile:
    """A file on its way to a reader. `content` knows its size: that of a generated image changes with each part."""

    name: str
    mime_type: str
    content: OpenBlob


class FileAttachmentStore(AttachmentStore[RequestContext]):
    """chatkit's attachment store over SQL and blobs.

    Raises the errors of `errors.py` with texts for the user; `store.NotFound` for what is not theirs.
    """

    def __init__(self, uploads: UploadStore, blobs: Blobs, settings: Settings, model: ModelInfo) -> None:
        self.uploads = uploads
        self.blobs = blobs
        self._settings = settings
        self._model = model
        self._decoding = asyncio.Semaphore(1)  # a picture may take 200 MB while it is looked at

    def generate_attachment_id(self, mime_type: str, context: RequestContext) -> str:
        """A new `atc_` id (T26)."""
        return new_id("atc")

    async def create_attachment(self, input: AttachmentCreateParams, context: RequestContext) -> Attachment:
        """The first phase: an attachment whose bytes are still to come, by PUT to its `upload_descriptor`."""
        return await self._announce(input.name, plain_type(input.mime_type), input.size, context)

    async def receive(self, name: str, claimed: str | None, file: IO[bytes], context: RequestContext) -> Attachment:
        """Direct upload: the attachment with its bytes."""
        announced = await self._announce(name, plain_type(claimed), _size_of(file), context)
        try:
            return await self.complete(announced.id, file, context)
        except BaseException:
            await self.uploads.forget(announced.id, context)
            raise

    async def check_pending(self, attachment_id: str, context: RequestContext) -> None:
        """Before the bytes are read. Raises `AlreadyUploaded` or `NotFound`."""
        if (await self.uploads.load(attachment_id, context)).status != "pending":
            raise AlreadyUploaded

    async def complete(self, attachment_id: str, file: IO[bytes], context: RequestContext) -> Attachment:
        """The second phase: checks the bytes and keeps them. Of two at once, one is refused."""
        upload = await self.uploads.load(attachment_id, context)
        if not await self.uploads.claim(attachment_id, context):
            raise AlreadyUploaded
        try:
            content = await self._inspect(upload.attachment, file)
            if upload.size not in (None, content.size):
                raise InvalidFile("The file did not arrive whole. Please send it again.")
            await self._keep(attachment_id, file, content)
            stored = _as_stored(upload.attachment, content)
            if not await self.uploads.finish(stored, content.size, context):
                raise NotFound("Attachment", attachment_id)
        except BaseException:
            with contextlib.suppress(BlobsUnavailable):  # then they go with the row
                await self.blobs.delete(attachment_id, preview_key(attachment_id))
            await self.uploads.release(attachment_id, context)
            raise
        return stored

    async def open(self, attachment_id: str, context: RequestContext) -> StoredFile:
        """The bytes of a stored file. Raises `NotFound` or `store.BlobMissing`."""
        upload = await self.uploads.load(attachment_id, context)
        if upload.status != "stored":
            raise NotFound("Attachment", attachment_id)
        content = await self.blobs.open(attachment_id)
        return StoredFile(upload.attachment.name, upload.attachment.mime_type, content)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Takes a file back that no message holds. Raises `Conflict` for one that was sent, `NotFound`."""
        await self.uploads.load(attachment_id, context)
        if not await self.uploads.forget(attachment_id, context):
            raise Conflict("This file was sent with a message; it goes when its conversation is deleted.")
        await self.blobs.delete(attachment_id, preview_key(attachment_id))

    async def _announce(self, name: str, claimed: str, size: int, context: RequestContext) -> Attachment:
        name = safe_file_name(name)
        self._check_size(size)
        # Browsers call source files what they like, `video/mp2t` for one; a picture they know.
        if kind_of(claimed) != "other" or claimed.startswith("image/"):
            self._check_type(claimed)
        attachment = _as_announced(self.generate_attachment_id(claimed, context), name, claimed)
        limit = self._settings.attachments_unsent
        if not await self.uploads.add(attachment, context, size=size, limit=limit):
            raise TooManyFiles(f"You have {limit} files that you have not sent. Please send or remove some first.")
        return attachment

    async def _inspect(self, attachment: Attachment, file: IO[bytes]) -> Content:
        size = _size_of(file)
        self._check_size(size)
        found = await asyncio.to_thread(sniff, file, attachment.mime_type)
        self._check_type(found)
        if contradicts(attachment.mime_type, found):
            raise UnsupportedFile(f"This file says that it is {attachment.mime_type}, but it is {found}.")
        if kind_of(found) != "image":
            return Content(found, size, None)
        async with self._decoding:
            preview = await asyncio.to_thread(make_preview, file, self._settings.image_max_pixels)
        return Content(found, size, preview)

    async def _keep(self, attachment_id: str, file: IO[bytes], content: Content) -> None:
        file.seek(0)
        await self.blobs.put(attachment_id, file)
        if content.preview is not None:
            await self.blobs.put(preview_key(attachment_id), content.preview)

    def _check_size(self, size: int) -> None:
        if size <= 0:
            raise InvalidFile("The file is empty.")
        if size > self._settings.attachment_max_bytes:
            raise too_large(self._settings.attachment_max_bytes)

    def _check_type(self, mime_type: str) -> None:
        kind = kind_of(mime_type)
        if not is_allowed(mime_type, self._settings.attachment_types):
            raise UnsupportedFile(f"Files of the type {mime_type} are not accepted here.")
        if kind in UNREADABLE and kind not in self._model.reads:
            raise UnsupportedFile(f"The model that answers here cannot read {UNREADABLE[kind]}.")


def too_large(limit: int) -> FileTooLarge:
    """With the limit in words."""
    shown = f"{limit / 1_000_000:g} MB" if limit >= 1_000_000 else f"{limit} bytes"
    return FileTooLarge(f"The file is too large; at most {shown} are accepted.")


def _as_announced(attachment_id: str, name: str, claimed: str) -> Attachment:
    coming = AttachmentUploadDescriptor(
        url=upload_reference(attachment_id), method="PUT", headers={"content-type": claimed}
    )
    return _attachment(attachment_id, name, claimed).model_copy(update={"upload_descriptor": coming})


def _as_stored(announced: Attachment, content: Content) -> Attachment:
    stored = _attachment(announced.id, announced.name, content.mime_type)
    return stored.model_copy(update={"thread_id": announced.thread_id})


def _attachment(attachment_id: str, name: str, mime_type: str) -> Attachment:
    if kind_of(mime_type) == "image":
        return ImageAttachment(
            id=attachment_id, name=name, mime_type=mime_type, preview_url=download_reference(attachment_id)
        )
    return FileAttachment(id=attachment_id, name=name, mime_type=mime_type)


def _size_of(file: IO[bytes]) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size
