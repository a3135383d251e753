"""Files as parts of a message to the model.

Pictures and PDFs go as `data:` URLs, which every provider takes that takes them at all (the Agents SDK makes
`image_url` and `file` parts of them for Chat Completions, 0.24); text goes as text, which every model reads. Images
that a model made go by their address, or not at all (trap T23).
"""

import base64
from dataclasses import dataclass

from chatkit.types import Attachment
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputFileParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)

from store import BlobMissing, Blobs, BlobsUnavailable

from .file_types import decode_text, kind_of
from .links import Links

TEXT_LIMIT = 200_000
"""Characters of a text file that the model gets to read: about 50,000 tokens."""


@dataclass(frozen=True)
class UserFiles:
    """The files of one user, as a model may be shown them."""

    blobs: Blobs
    links: Links
    user_id: str

    async def content(self, attachment: Attachment) -> ResponseInputContentParam:
        """A file for the model; a sentence in its place where its bytes are gone. Never raises for that."""
        try:
            data = await self.blobs.get(attachment.id)
        except (BlobMissing, BlobsUnavailable):
            return unreadable(attachment)
        match kind_of(attachment.mime_type):
            case "image":
                return ResponseInputImageParam(type="input_image", detail="auto", image_url=_data_url(attachment, data))
            case "pdf":
                return ResponseInputFileParam(
                    type="input_file", filename=attachment.name, file_data=_data_url(attachment, data)
                )
            case _:
                return _text(_named(attachment.name, decode_text(data)))

    def link(self, url: str) -> str | None:
        """Where the model's provider finds a generated image; None where it cannot."""
        return self.links.for_provider(url, self.user_id)


def unreadable(attachment: Attachment) -> ResponseInputContentParam:
    """What stands for a file that the model cannot be shown."""
    return _text(f"[The user attached a file that cannot be read: {attachment.name} ({attachment.mime_type})]")


def _data_url(attachment: Attachment, data: bytes) -> str:
    return f"data:{attachment.mime_type};base64,{base64.b64encode(data).decode()}"


def _named(name: str, text: str | None) -> str:
    if text is None:
        return f"[The user attached a file that is no text: {name}]"
    cut = "" if len(text) <= TEXT_LIMIT else "\n[The file goes on; this is its beginning.]"
    return f"The user attached the file “{name}”:\n\n{text[:TEXT_LIMIT]}{cut}"


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)
