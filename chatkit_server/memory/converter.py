"""Thread items → the model's input.

chatkit's `ThreadItemConverter` does the work; here are the safe answers where it raises, because an item that cannot
be converted would make its thread unanswerable for good (trap T22).
"""

import copy
import json
from collections.abc import Awaitable, Callable

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    GeneratedImageItem,
    HiddenContextItem,
    UserMessageItem,
    UserMessageTagContent,
)
from openai.types.responses import EasyInputMessageParam, ResponseInputContentParam, ResponseInputTextParam
from openai.types.responses.response_input_item_param import FunctionCallOutput

from ..composer.mentions import plain_mention
from ..files.user_files import UserFiles, unreadable
from .call_pairs import client_tool_output

IMAGE_NOTE = "[The assistant generated an image here, which the user sees.]"

TellMention = Callable[[UserMessageTagContent], Awaitable[str]]


async def _plainly(mention: UserMessageTagContent) -> str:
    return plain_mention(mention)


class SafeConverter(ThreadItemConverter):
    """Converts every item that a thread may hold; never raises on one, but for a new message with too large files."""

    tell_mention: TellMention = staticmethod(_plainly)
    """What the model reads of an @-mention."""

    files: UserFiles | None = None
    """The user's files; without them the model gets their names."""

    async def user_message_to_input(
        self, item: UserMessageItem, is_last_message: bool = True
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """With as many of its files as there is room for. Raises `FilesTooLarge` for the newest message alone."""
        if self.files is not None:
            await self.files.select_files(item)
        return await super().user_message_to_input(item, is_last_message)

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        """The file itself, or its name where its content cannot reach the model."""
        return unreadable(attachment) if self.files is None else await self.files.content(attachment)

    async def generated_image_to_input(
        self, item: GeneratedImageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """The image by an address that the provider can reach, else that there was one; never its bytes (T23)."""
        if item.image is None:
            return None
        if self.files is not None and (url := self.files.link(item.image.url)) is not None:
            return await super().generated_image_to_input(
                item.model_copy(update={"image": item.image.model_copy(update={"url": url})})
            )
        return EasyInputMessageParam(type="message", role="user", content=[_text(IMAGE_NOTE)])

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        """As `tell_mention` says; the SDK puts it behind the message."""
        return _text(await self.tell_mention(tag))

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Plain text: the Agents SDK refuses chatkit's `output_text` parts on Chat Completions (agents 0.24)."""
        words = "\n".join(part.text for part in item.content if part.text)
        return EasyInputMessageParam(type="message", role="assistant", content=words) if words else None

    async def client_tool_call_to_input(
        self, item: ClientToolCallItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """What the page answered, without files in it."""
        told = await super().client_tool_call_to_input(item)
        if isinstance(told, list):
            told[-1] = FunctionCallOutput(
                type="function_call_output", call_id=item.call_id, output=client_tool_output(item)
            )
        return told

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Hidden context may hold any JSON; the model reads text."""
        if not isinstance(item.content, str):
            item = item.model_copy(update={"content": json.dumps(item.content, ensure_ascii=False, default=str)})
        return await super().hidden_context_to_input(item)


def with_mentions(converter: ThreadItemConverter, tell: TellMention) -> ThreadItemConverter:
    """The same converter, telling mentions so where it is a `SafeConverter`; another one has its own way."""
    if isinstance(converter, SafeConverter):
        converter = copy.copy(converter)
        converter.tell_mention = tell
    return converter


def with_files(converter: ThreadItemConverter, files: UserFiles) -> ThreadItemConverter:
    """The same converter, reading the user's files where it is a `SafeConverter`."""
    if isinstance(converter, SafeConverter):
        converter = copy.copy(converter)
        converter.files = files
    return converter


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)
