"""Files as parts of a message to the model.

Pictures and PDFs go as `data:` URLs, which every provider takes that takes them at all (the Agents SDK makes
`image_url` and `file` parts of them for Chat Completions, 0.24); text goes as text, which every model reads. Images
that a model made go by their address, or not at all (trap T23).
"""

import base64
from contextvars import ContextVar
from dataclasses import dataclass, field

from chatkit.types import Attachment
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputFileParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)

from store import BlobMissing, Blobs, BlobsUnavailable, UploadStore

from ..context import RequestContext
from .links import Links
from .types import decode_text, kind_of

TEXT_LIMIT = 200_000
"""Characters of a text file that the model gets to read: about 50,000 tokens."""


@dataclass(frozen=True)
class UserFiles:
    """The files of one user, as a model may be shown them."""

    uploads: UploadStore
    blobs: Blobs
    links: Links
    context: RequestContext
    given: dict[str, str] = field(default_factory=dict)
    """The `data:` URLs that were made, and the attachments they are."""

    async def content(self, attachment: Attachment) -> ResponseInputContentParam:
        """A file for the model; a sentence in its place where its bytes are gone. Never raises for that."""
        try:
            data = await self.blobs.get(attachment.id)
        except (BlobMissing, BlobsUnavailable):
            return unreadable(attachment)
        match kind_of(attachment.mime_type):
            case "image":
                url = self._data_url(attachment, data)
                return ResponseInputImageParam(type="input_image", detail="auto", image_url=url)
            case "pdf":
                url = self._data_url(attachment, data)
                return ResponseInputFileParam(type="input_file", filename=attachment.name, file_data=url)
            case _:
                return _text(_named(attachment.name, decode_text(data)))

    async def content_of(self, attachment_id: str) -> ResponseInputContentParam:
        """The same by its id. Raises `store.NotFound`."""
        return await self.content((await self.uploads.load(attachment_id, self.context)).attachment)

    def link(self, url: str) -> str | None:
        """Where the model's provider finds a generated image; None where it cannot."""
        return self.links.for_provider(url, self.context.user_id)

    def _data_url(self, attachment: Attachment, data: bytes) -> str:
        url = f"data:{attachment.mime_type};base64,{base64.b64encode(data).decode()}"
        self.given[url] = attachment.id
        return url


shown_files: ContextVar[UserFiles | None] = ContextVar("shown_files", default=None)
"""The files that the model of this turn was shown."""


def unreadable(attachment: Attachment) -> ResponseInputContentParam:
    """What stands for a file that the model cannot be shown."""
    return unreadable_text(f"{attachment.name} ({attachment.mime_type})")


def unreadable_text(name: str) -> ResponseInputTextParam:
    """The same for a file of which only the name is known."""
    return _text(f"[The user attached a file that cannot be read: {name}]")


def _named(name: str, text: str | None) -> str:
    if text is None:
        return f"[The user attached a file that is no text: {name}]"
    cut = "" if len(text) <= TEXT_LIMIT else "\n[The file goes on; this is its beginning.]"
    return f"The user attached the file “{name}”:\n\n{text[:TEXT_LIMIT]}{cut}"


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)
