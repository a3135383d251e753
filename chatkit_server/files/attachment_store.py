"""Receive, check and store the files that users attach: bytes in `chatkit_store.Blobs`, everything else in SQL.

Direct upload: `receive` creates the attachment together with its bytes. Two-phase upload: `create_attachment` creates
it, `complete` takes the bytes later. Bytes are checked before they are stored; a rejected file leaves nothing behind.
"""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
)

from chatkit_store import Blobs, BlobsUnavailable, NotFound, OpenBlob, TooManyUnsent, UploadStore, new_id
from chatkit_store import LimitReached as StoreLimitReached

from ..context import RequestContext
from ..errors.http import (
    AlreadyUploaded,
    Conflict,
    FileTooLarge,
    InvalidFile,
    LimitReached,
    TooManyFiles,
    TooManyRequests,
    UnsupportedFile,
)
from ..limits.user_limits import UserLimits
from ..models import ModelInfo
from ..settings import Settings
from .file_names import safe_file_name
from .file_threads import in_file_thread, in_preview_thread
from .file_types import DOCUMENTS, is_allowed, kind_of, plain_type, sniff
from .previews import make_preview
from .signed_links import download_reference, preview_key, upload_reference
from .sizes import readable_size
from .unsent_space import UnsentSpace

NEWCOMERS_WINDOW = timedelta(minutes=10)

UNREADABLE = {"image": "images", "pdf": "PDF files"}
"""Kinds of files that some models cannot read, with their names in error messages."""


@dataclass(frozen=True)
class Content:
    """The result of inspecting an uploaded file; `size` in bytes."""

    mime_type: str
    size: int
    preview: bytes | None


@dataclass(frozen=True)
class StoredFile:
    """A stored file, open for download. Its size is that of `content`: the row may already have a newer one."""

    name: str
    mime_type: str
    content: OpenBlob


class FileAttachmentStore(AttachmentStore[RequestContext]):
    """chatkit's attachment store over SQL and blobs.

    Raises errors of `errors/http.py` with texts for the user; `chatkit_store.NotFound` for another user's files.
    """

    def __init__(self, uploads: UploadStore, blobs: Blobs, settings: Settings, model: ModelInfo) -> None:
        self.uploads = uploads
        self.blobs = blobs
        self._settings = settings
        self._model = model
        self._limits = UserLimits(settings)
        self._unsent = UnsentSpace(uploads, settings.attachments_unsent_bytes)

    def generate_attachment_id(self, mime_type: str, context: RequestContext) -> str:
        """Return a new `atc_` id; the SDK's own have only 8 random hex digits."""
        return new_id("atc")

    async def create_attachment(self, input: AttachmentCreateParams, context: RequestContext) -> Attachment:
        """Start a two-phase upload: the client then PUTs the bytes to the attachment's `upload_descriptor`."""
        return await self._add_pending(input.name, plain_type(input.mime_type), input.size, context)

    async def receive(self, name: str, claimed: str | None, file: IO[bytes], context: RequestContext) -> Attachment:
        """Store a file that was uploaded directly, and return its attachment."""
        attachment = await self._add_pending(name, plain_type(claimed), _size_of(file), context)
        try:
            return await self.complete(attachment.id, file, context)
        except BaseException:
            await self.uploads.forget(attachment.id, context)
            raise

    async def check_pending(self, attachment_id: str, context: RequestContext) -> None:
        """Check that the upload still expects its bytes. Raises `AlreadyUploaded` or `NotFound`."""
        if (await self.uploads.load(attachment_id, context)).status != "pending":
            raise AlreadyUploaded

    async def complete(self, attachment_id: str, file: IO[bytes], context: RequestContext) -> Attachment:
        """Check and store the bytes of a two-phase upload. Of two concurrent calls, one raises `AlreadyUploaded`."""
        upload = await self.uploads.load(attachment_id, context)
        await self._unsent.take(_size_of(file))
        if not await self.uploads.claim(attachment_id, context):
            raise AlreadyUploaded
        try:
            content = await self._inspect(upload.attachment, file)
            if upload.size not in (None, content.size):
                raise InvalidFile("The file arrived incomplete. Please upload it again.")
            await self._store(attachment_id, file, content)
            stored = _stored_attachment(upload.attachment, content)
            if not await self.uploads.finish(stored, content.size, context):
                raise NotFound("Attachment", attachment_id)
        except BaseException:
            with contextlib.suppress(BlobsUnavailable):  # they are pruned once the row is gone
                await self.blobs.delete(attachment_id, preview_key(attachment_id))
            await self.uploads.release(attachment_id, context)
            raise
        return stored

    async def open(self, attachment_id: str, context: RequestContext) -> StoredFile:
        """Open a stored file. Raises `NotFound` or `chatkit_store.BlobMissing`."""
        upload = await self.uploads.load(attachment_id, context)
        if upload.status != "stored":
            raise NotFound("Attachment", attachment_id)
        content = await self.blobs.open(attachment_id)
        return StoredFile(upload.attachment.name, upload.attachment.mime_type, content)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete a file that was never sent. Raises `Conflict` if a message contains it, `NotFound`."""
        await self.uploads.load(attachment_id, context)
        if not await self.uploads.forget(attachment_id, context):
            raise Conflict("This file was sent with a message; it is deleted together with its conversation.")
        await self.blobs.delete(attachment_id, preview_key(attachment_id))

    async def _add_pending(self, name: str, claimed: str, size: int, context: RequestContext) -> Attachment:
        name = safe_file_name(name)
        self._check_size(size)
        # Browsers mislabel source files (`video/mp2t` for a .ts file), but they recognise images.
        if kind_of(claimed) != "other" or claimed.startswith("image/"):
            self._check_type(claimed)
        attachment = _pending_attachment(self.generate_attachment_id(claimed, context), name, claimed)
        limit, newcomers = self._settings.attachments_unsent, self._settings.attachments_new_users
        since = datetime.now(UTC) - NEWCOMERS_WINDOW
        try:
            is_added = await self.uploads.add(
                attachment,
                context,
                size=size,
                limit=limit,
                newcomers=newcomers,
                since=since,
                owner_bytes=self._limits.file_bytes(context),
            )
        except StoreLimitReached as reached:
            raise LimitReached(
                f"Your files may take up {readable_size(reached.limit)} together. Please delete a conversation with "
                "files that you no longer need.",
                None,
            ) from None
        except TooManyUnsent:
            raise TooManyRequests(
                "Too many new users are uploading files right now. Please send a message first, or try again in ten "
                "minutes."
            ) from None
        if not is_added:
            raise TooManyFiles(f"You have {limit} unsent files. Please send or remove some first.")
        return attachment

    async def _inspect(self, attachment: Attachment, file: IO[bytes]) -> Content:
        size = _size_of(file)
        self._check_size(size)
        mime_type = await in_file_thread(sniff, file, attachment.mime_type)
        self._check_type(mime_type)
        if kind_of(mime_type) != "image":
            return Content(mime_type, size, None)
        preview = await in_preview_thread(make_preview, file, self._settings.image_max_pixels)
        return Content(mime_type, size, preview)

    async def _store(self, attachment_id: str, file: IO[bytes], content: Content) -> None:
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
            name = DOCUMENTS.get(mime_type)
            raise UnsupportedFile(
                f"{name} are not accepted here. Please save it in another format, such as PDF, JPEG or text."
                if name
                else f"Files of type {mime_type} are not accepted here."
            )
        if kind in UNREADABLE and kind not in self._model.reads:
            raise UnsupportedFile(f"The model used here cannot read {UNREADABLE[kind]}.")


def too_large(limit: int) -> FileTooLarge:
    """Return the error for a file of more than `limit` bytes."""
    return FileTooLarge(f"The file is too large; at most {readable_size(limit)} are accepted.")


def _pending_attachment(attachment_id: str, name: str, claimed: str) -> Attachment:
    descriptor = AttachmentUploadDescriptor(
        url=upload_reference(attachment_id), method="PUT", headers={"content-type": claimed}
    )
    return _attachment(attachment_id, name, claimed).model_copy(update={"upload_descriptor": descriptor})


def _stored_attachment(pending: Attachment, content: Content) -> Attachment:
    stored = _attachment(pending.id, pending.name, content.mime_type)
    return stored.model_copy(update={"thread_id": pending.thread_id})


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
