"""Convert one user's files to parts of messages for the model.

Images and PDFs are sent as `data:` URLs, which every provider with file input accepts (agents 0.24 converts them to
`image_url` and `file` parts for Chat Completions). Text files are sent as text, which every model reads. Generated
images are sent as links if the provider can reach this server, and replaced by a note otherwise.

The total size per request is limited, and the newest messages' files take precedence: providers limit the request
size, and each turn holds the whole request in memory.
"""

import base64
from contextvars import ContextVar
from dataclasses import dataclass, field

from chatkit.types import Attachment, UserMessageItem
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputFileParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)

from chatkit_store import BlobMissing, Blobs, BlobsUnavailable, UploadStore

from ..context import RequestContext
from ..errors.http import FilesTooLarge
from .file_threads import in_file_thread
from .file_types import kind_of
from .signed_links import SignedLinks
from .sizes import readable_size
from .text_decoding import decode_text

TEXT_LIMIT = 200_000
"""Characters of a text file that are sent to the model: about 50,000 tokens."""


@dataclass
class UserFiles:
    """The user's files for one model request."""

    uploads: UploadStore
    blobs: Blobs
    links: SignedLinks
    context: RequestContext
    limit: int
    """Bytes of images and PDFs in one request."""
    attachment_ids: dict[str, str] = field(default_factory=dict)
    """The attachment id of each `data:` URL that was created."""
    _included: dict[str, int] = field(default_factory=dict)
    """The size of each included file by attachment id."""
    _left_out: set[str] = field(default_factory=set)
    _seen_messages: set[str] = field(default_factory=set)

    async def select_files(self, message: UserMessageItem) -> None:
        """Choose which of a message's files to include. Call it for the newest message first, then back in time.

        Raises `FilesTooLarge` if the files of the newest message alone exceed the limit.
        """
        if message.id in self._seen_messages:
            return
        is_newest = not self._seen_messages
        self._seen_messages.add(message.id)
        sizes = await self._sizes([file.id for file in message.attachments if _is_inline(file)])
        if is_newest and sum(sizes.values()) > self.limit:
            raise FilesTooLarge(_too_large(sum(sizes.values()), self.limit))
        for file_id, size in sizes.items():
            if sum(self._included.values()) + size > self.limit:
                self._left_out.add(file_id)
            else:
                self._included[file_id] = size

    async def content(self, attachment: Attachment) -> ResponseInputContentParam:
        """Return the file for the model, or a note if its bytes are gone or it was left out for its size."""
        if attachment.id in self._left_out:
            return _left_out_note(attachment)
        try:
            data = await self.blobs.get(attachment.id)
        except (BlobMissing, BlobsUnavailable):
            return unreadable_note(attachment)
        match kind_of(attachment.mime_type):
            case "image":
                url = await self._data_url(attachment, data)
                return ResponseInputImageParam(type="input_image", detail="auto", image_url=url)
            case "pdf":
                url = await self._data_url(attachment, data)
                return ResponseInputFileParam(type="input_file", filename=attachment.name, file_data=url)
            case _:
                return text_part(_quote(attachment.name, await in_file_thread(decode_text, data)))

    async def load_content(self, attachment_id: str) -> ResponseInputContentParam:
        """Load an attachment and return its content for the model. Raises `chatkit_store.NotFound`."""
        return await self.content((await self.uploads.load(attachment_id, self.context)).attachment)

    def provider_url(self, url: str) -> str | None:
        """Return the URL from which the model's provider can load a generated image, or None."""
        return self.links.for_provider(url, self.context.owner)

    async def _sizes(self, ids: list[str]) -> dict[str, int]:
        """Return each file's size in bytes; 0 if it is gone."""
        sizes = await self.uploads.sizes(ids, self.context) if ids else {}
        return {
            file_id: await self._measure(file_id) if size is None else size  # rows older than migration 0003 have none
            for file_id, size in ((file_id, sizes.get(file_id, 0)) for file_id in ids)
        }

    async def _measure(self, file_id: str) -> int:
        try:
            return len(await self.blobs.get(file_id))
        except (BlobMissing, BlobsUnavailable):
            return 0

    async def _data_url(self, attachment: Attachment, data: bytes) -> str:
        url = await in_file_thread(_encode, attachment.mime_type, data)  # 40 ms for 20 MB
        self.attachment_ids[url] = attachment.id
        return url


turn_files: ContextVar[UserFiles | None] = ContextVar("turn_files", default=None)
"""The files of the turn that the current task runs."""


def text_part(text: str) -> ResponseInputTextParam:
    """Return a text as a part of a message for the model."""
    return ResponseInputTextParam(type="input_text", text=text)


def unreadable_note(attachment: Attachment) -> ResponseInputContentParam:
    """Return a note instead of a file that the model cannot read."""
    return named_unreadable_note(f"{attachment.name} ({attachment.mime_type})")


def named_unreadable_note(name: str) -> ResponseInputTextParam:
    """Return the same note for a file of which only the name is known."""
    return text_part(f"[The user attached a file that cannot be read: {name}]")


def _left_out_note(attachment: Attachment) -> ResponseInputTextParam:
    name = f"{attachment.name} ({attachment.mime_type})"
    return text_part(
        f"[The user attached a file here that no longer fits into the request; they can attach it again: {name}]"
    )


def _too_large(size: int, limit: int) -> str:
    return (
        f"The model accepts at most {readable_size(limit)} of images and PDF files in one message; these are "
        f"{readable_size(size)}. Please send fewer or smaller files."
    )


def _is_inline(attachment: Attachment) -> bool:
    """Return whether the model gets the bytes of the file rather than its text."""
    return kind_of(attachment.mime_type) in ("image", "pdf")


def _encode(mime_type: str, data: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def _quote(name: str, text: str | None) -> str:
    if text is None:
        return f"[The user attached a file that is not text: {name}]"
    cut = "" if len(text) <= TEXT_LIMIT else "\n[The rest of the file is left out.]"
    return f"The user attached the file “{name}”:\n\n{text[:TEXT_LIMIT]}{cut}"
