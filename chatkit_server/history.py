"""Thread items → the model's input.

chatkit's `ThreadItemConverter` does the work; here are the safe answers where it raises, because an item that cannot
be converted would make its thread unanswerable for good (trap T22).
"""

import json

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    HiddenContextItem,
    UserMessageTagContent,
)
from openai.types.responses import EasyInputMessageParam, ResponseInputContentParam, ResponseInputTextParam


class SafeConverter(ThreadItemConverter):
    """Converts every item that a thread may hold; never raises on one."""

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        """The name of the file, where its content cannot reach the model."""
        return _text(f"[The user attached a file that cannot be read: {attachment.name} ({attachment.mime_type})]")

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        """What the page knows of an @-mention."""
        return _text(json.dumps({"mention": tag.text, "id": tag.id, "data": tag.data}, ensure_ascii=False))

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Plain text: the Agents SDK refuses chatkit's `output_text` parts on Chat Completions (agents 0.24)."""
        words = "\n".join(part.text for part in item.content if part.text)
        return EasyInputMessageParam(type="message", role="assistant", content=words) if words else None

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Hidden context may hold any JSON; the model reads text."""
        if not isinstance(item.content, str):
            item = item.model_copy(update={"content": json.dumps(item.content, ensure_ascii=False, default=str)})
        return await super().hidden_context_to_input(item)


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)
