"""Files as parts of a message to the model.

Pictures and PDFs go as `data:` URLs, which every provider takes that takes them at all (the Agents SDK makes
`image_url` and `file` parts of them for Chat Completions, 0.24); text goes as text, which every model reads. Images
that a model made go by their address, or not at all (trap T23).

All of them together stay within a limit, the newest message's first: what a provider takes in one request has an end,
and the whole of it passes through memory in each turn.
"""

import asyncio
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
from .file_types import decode_text, kind_of
from .signed_links import SignedLinks

TEXT_LIMIT = 200_000
"""Characters of a text file that the model gets to read: about 50,000 tokens."""


@dataclass
class UserFiles:
    """The files of one user, as a model may be shown them in one request."""

    uploads: UploadStore
    blobs: Blobs
    links: SignedLinks
    context: RequestContext
    limit: int
    """Bytes of pictures and PDFs."""
    given: dict[str, str] = field(default_factory=dict)
    """The `data:` URLs that were made, and the attachments they are."""
    _shown: dict[str, int] = field(default_factory=dict)
    """The sizes of those that have their place, by id."""
    _left_out: set[str] = field(default_factory=set)
    _messages: set[str] = field(default_factory=set)

    async def select_files(self, message: UserMessageItem) -> None:
        """Chooses which of a message's files are shown; for the newest message first, then for those before it.

        Raises `FilesTooLarge` where the newest message's own are over the limit.
        """
        if message.id in self._messages:
            return
        is_newest = not self._messages
        self._messages.add(message.id)
        sizes = await self._sizes([file.id for file in message.attachments if _is_inline(file)])
        if is_newest and sum(sizes.values()) > self.limit:
            raise FilesTooLarge(_too_large(sum(sizes.values()), self.limit))
        for file_id, size in sizes.items():
            if sum(self._shown.values()) + size > self.limit:
                self._left_out.add(file_id)
            else:
                self._shown[file_id] = size

    async def content(self, attachment: Attachment) -> ResponseInputContentParam:
        """A file for the model; a sentence in its place where its bytes are gone, or found no room. Never raises for
        that."""
        if attachment.id in self._left_out:
            return _left_out(attachment)
        try:
            data = await self.blobs.get(attachment.id)
        except (BlobMissing, BlobsUnavailable):
            return unreadable(attachment)
        match kind_of(attachment.mime_type):
            case "image":
                url = await self._data_url(attachment, data)
                return ResponseInputImageParam(type="input_image", detail="auto", image_url=url)
            case "pdf":
                url = await self._data_url(attachment, data)
                return ResponseInputFileParam(type="input_file", filename=attachment.name, file_data=url)
            case _:
                return _text(_named(attachment.name, decode_text(data)))

    async def content_of(self, attachment_id: str) -> ResponseInputContentParam:
        """The same by its id. Raises `store.NotFound`."""
        return await self.content((await self.uploads.load(attachment_id, self.context)).attachment)

    def link(self, url: str) -> str | None:
        """Where the model's provider finds a generated image; None where it cannot."""
        return self.links.for_provider(url, self.context.user_id)

    async def _sizes(self, ids: list[str]) -> dict[str, int]:
        """Bytes of each file; none where it is gone."""
        known = await self.uploads.sizes(ids, self.context) if ids else {}
        sizes = {file_id: known.get(file_id, 0) for file_id in ids}
        return {
            file_id: await self._measure(file_id) if size is None else size  # of a row from before 0003
            for file_id, size in sizes.items()
        }

    async def _measure(self, file_id: str) -> int:
        try:
            return len(await self.blobs.get(file_id))
        except (BlobMissing, BlobsUnavailable):
            return 0

    async def _data_url(self, attachment: Attachment, data: bytes) -> str:
        url = await asyncio.to_thread(_encode, attachment.mime_type, data)  # 20 MB take 40 ms
        self.given[url] = attachment.id
        return url


turn_files: ContextVar[UserFiles | None] = ContextVar("turn_files", default=None)
"""The files that the model of this turn was shown."""


def unreadable(attachment: Attachment) -> ResponseInputContentParam:
    """What stands for a file that the model cannot be shown."""
    return unreadable_text(f"{attachment.name} ({attachment.mime_type})")


def unreadable_text(name: str) -> ResponseInputTextParam:
    """The same for a file of which only the name is known."""
    return _text(f"[The user attached a file that cannot be read: {name}]")


def _left_out(attachment: Attachment) -> ResponseInputTextParam:
    name = f"{attachment.name} ({attachment.mime_type})"
    return _text(f"[The user attached a file here that is not shown any more; they can attach it again: {name}]")


def _too_large(size: int, limit: int) -> str:
    return (
        f"The model reads at most {limit / 1e6:.3g} MB of pictures and PDF files in one message; these are "
        f"{size / 1e6:.3g} MB. Please send fewer or smaller ones."
    )


def _is_inline(attachment: Attachment) -> bool:
    """Whether the model gets its bytes, and not text."""
    return kind_of(attachment.mime_type) in ("image", "pdf")


def _encode(mime_type: str, data: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def _named(name: str, text: str | None) -> str:
    if text is None:
        return f"[The user attached a file that is no text: {name}]"
    cut = "" if len(text) <= TEXT_LIMIT else "\n[The file goes on; this is its beginning.]"
    return f"The user attached the file “{name}”:\n\n{text[:TEXT_LIMIT]}{cut}"


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)
