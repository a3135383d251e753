"""Files in memory, uploaded in two phases through routes of the server's own app."""

from __future__ import annotations

import base64
from typing import Any

from chatkit.store import AttachmentStore, NotFoundError
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
)
from fastapi import HTTPException, Request, status

from .memory_store import MemoryStore

MAX_BYTES = 64 * 1024


class LocalAttachmentStore(AttachmentStore[dict[str, Any]]):
    """Keeps the bytes; the records are in the store that it shares with the server."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._files: dict[str, bytes] = {}

    def generate_attachment_id(self, mime_type: str, context: dict[str, Any]) -> str:
        return f"tag_{super().generate_attachment_id(mime_type, context)}"

    async def create_attachment(self, input: AttachmentCreateParams, context: dict[str, Any]) -> Attachment:
        if input.size > MAX_BYTES:
            raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, "The desk takes files up to 64 KB.")
        request: Request = context["request"]
        attachment_id = self.generate_attachment_id(input.mime_type, context)
        upload = AttachmentUploadDescriptor(
            url=str(request.url_for("upload_attachment", attachment_id=attachment_id)), method="POST"
        )
        if input.mime_type.startswith("image/"):
            return ImageAttachment(
                id=attachment_id,
                name=input.name,
                mime_type=input.mime_type,
                upload_descriptor=upload,
                preview_url=str(request.url_for("download_attachment", attachment_id=attachment_id)),
                metadata={"desk": "lost and found"},
            )
        return FileAttachment(id=attachment_id, name=input.name, mime_type=input.mime_type, upload_descriptor=upload)

    async def delete_attachment(self, attachment_id: str, context: dict[str, Any]) -> None:
        self._files.pop(attachment_id, None)

    async def write(self, attachment_id: str, data: bytes, context: dict[str, Any]) -> Attachment:
        try:
            attachment = await self.store.load_attachment(attachment_id, context)
        except NotFoundError as error:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such file.") from error
        self._files[attachment_id] = data
        attachment = attachment.model_copy(update={"upload_descriptor": None})
        await self.store.save_attachment(attachment, context=context)
        return attachment

    def read(self, attachment_id: str) -> bytes:
        return self._files[attachment_id]

    def data_url(self, attachment: Attachment) -> str:
        encoded = base64.b64encode(self._files[attachment.id]).decode()
        return f"data:{attachment.mime_type};base64,{encoded}"
