"""Convert thread items to model input.

chatkit's `ThreadItemConverter` does most of the work. `SafeConverter` handles the items for which it raises: one such
item would make every further turn of its thread fail (T22).
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
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
)
from openai.types.responses import EasyInputMessageParam, ResponseInputContentParam
from openai.types.responses.response_input_item_param import FunctionCallOutput

from ..composer.mentions import plain_mention
from ..files.user_files import UserFiles, text_part, unreadable_note
from .call_pairs import client_tool_output

IMAGE_NOTE = "[The assistant generated an image here, which the user can see.]"

DescribeMention = Callable[[UserMessageTagContent], Awaitable[str]]


async def _plain_mention(mention: UserMessageTagContent) -> str:
    return plain_mention(mention)


class SafeConverter(ThreadItemConverter):
    """Converts every item that a thread may contain. Raises only if the files of the newest message are too large."""

    describe_mention: DescribeMention = staticmethod(_plain_mention)
    """Returns the text that the model gets for an @-mention."""

    files: UserFiles | None = None
    """The user's files; if None, the model gets only the names of attachments."""

    async def user_message_to_input(
        self, item: UserMessageItem, is_last_message: bool = True
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Convert a message with as many of its files as fit. Raises `FilesTooLarge`, only for the newest message."""
        if self.files is not None:
            await self.files.select_files(item)
        return await super().user_message_to_input(item, is_last_message)

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        """Convert an attachment to its content, or to a note with its name if it cannot be read."""
        return unreadable_note(attachment) if self.files is None else await self.files.content(attachment)

    async def generated_image_to_input(
        self, item: GeneratedImageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Convert an image to a link if the provider can load it, else to a note; never to its bytes."""
        if item.image is None:
            return None
        if self.files is not None and (url := self.files.provider_url(item.image.url)) is not None:
            return await super().generated_image_to_input(
                item.model_copy(update={"image": item.image.model_copy(update={"url": url})})
            )
        return EasyInputMessageParam(type="message", role="user", content=[text_part(IMAGE_NOTE)])

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        """Convert a mention to the text of `describe_mention`; the SDK adds it after the message."""
        return text_part(await self.describe_mention(tag))

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Convert to plain text: agents 0.24 rejects chatkit's `output_text` parts for Chat Completions."""
        text = "\n".join(part.text for part in item.content if part.text)
        return EasyInputMessageParam(type="message", role="assistant", content=text) if text else None

    async def client_tool_call_to_input(
        self, item: ClientToolCallItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Convert a client tool call, with the files in its output left out."""
        input_items = await super().client_tool_call_to_input(item)
        if isinstance(input_items, list):
            input_items[-1] = FunctionCallOutput(
                type="function_call_output", call_id=item.call_id, output=client_tool_output(item)
            )
        return input_items

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Convert hidden context, any JSON, to text."""
        if not isinstance(item.content, str):
            item = item.model_copy(update={"content": json.dumps(item.content, ensure_ascii=False, default=str)})
        return await super().hidden_context_to_input(item)


def is_ours(converter: ThreadItemConverter) -> bool:
    """Return whether this is a plain `SafeConverter`, none that its author has changed."""
    return type(converter) is SafeConverter and vars(converter).keys() <= {"describe_mention", "files"}


def depends_on_thread_only(item: ThreadItem) -> bool:
    """Return whether a plain `SafeConverter` always converts the item to the same input, whatever its files and
    mentions are now."""
    if isinstance(item, UserMessageItem):
        return not item.attachments and all(part.type == "input_text" for part in item.content)
    return not isinstance(item, GeneratedImageItem)


def with_mentions(converter: ThreadItemConverter, describe: DescribeMention) -> ThreadItemConverter:
    """Return a copy of a `SafeConverter` that describes mentions with `describe`; any other converter unchanged."""
    if isinstance(converter, SafeConverter):
        converter = copy.copy(converter)
        converter.describe_mention = describe
    return converter


def with_files(converter: ThreadItemConverter, files: UserFiles) -> ThreadItemConverter:
    """Return a copy of a `SafeConverter` that reads the user's files; any other converter unchanged."""
    if isinstance(converter, SafeConverter):
        converter = copy.copy(converter)
        converter.files = files
    return converter
