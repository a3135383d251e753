"""Threads and items in the shapes of OpenAI's API, built with the types of OpenAI's own client.

Its client takes an item of any other type for a user message. So a workflow becomes a `chatkit.task_group`, and what no
type can hold is left out: `CONVERSATION` in the store says which items come here at all.
"""

import json
from typing import Any, Literal, NamedTuple

from chatkit.types import (
    Annotation,
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    CustomTask,
    FileSource,
    FileTask,
    ImageAttachment,
    SearchTask,
    Task,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    URLSource,
    UserMessageContent,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
    WorkflowItem,
)
from openai.types.beta.chatkit import (
    ChatKitAttachment,
    ChatKitResponseOutputText,
    ChatKitThread,
    ChatKitThreadAssistantMessageItem,
    ChatKitThreadUserMessageItem,
    ChatKitWidgetItem,
)
from openai.types.beta.chatkit.chatkit_response_output_text import Annotation as OpenAiAnnotation
from openai.types.beta.chatkit.chatkit_response_output_text import (
    AnnotationFile,
    AnnotationFileSource,
    AnnotationURL,
    AnnotationURLSource,
)
from openai.types.beta.chatkit.chatkit_thread import Status
from openai.types.beta.chatkit.chatkit_thread_item_list import (
    Data,
    DataChatKitClientToolCall,
    DataChatKitTask,
    DataChatKitTaskGroup,
    DataChatKitTaskGroupTask,
)
from openai.types.beta.chatkit.chatkit_thread_user_message_item import (
    Content,
    ContentInputText,
    ContentQuotedText,
    InferenceOptions,
    InferenceOptionsToolChoice,
)
from pydantic import TypeAdapter

from chatkit_store import OwnedThread

from ..events.frames import serialize
from .openai_route import unix_seconds

_status: TypeAdapter[Status] = TypeAdapter(Status)


def openai_thread(owned: OwnedThread) -> ChatKitThread:
    """Return a thread, with a field that is not in OpenAI's API if there are tenants: `tenant`."""
    thread, owner = owned.thread, owned.owner
    tenant: dict[str, Any] = {"tenant": owner.tenant} if owner.tenant else {}
    return ChatKitThread(
        id=thread.id,
        object="chatkit.thread",
        created_at=unix_seconds(thread.created_at),
        status=_status.validate_python(thread.status.model_dump()),
        title=thread.title,
        user=owner.user_id,
        **tenant,
    )


def openai_item(item: ThreadItem) -> Data:
    """Return an item. Raises `TypeError` for one of a type that is not told."""
    match item:
        case UserMessageItem():
            return _user_message(item)
        case AssistantMessageItem():
            return _assistant_message(item)
        case WidgetItem():
            widget = serialize(item.widget).decode()
            return ChatKitWidgetItem(**_base(item), type="chatkit.widget", widget=widget)
        case ClientToolCallItem():
            return _client_tool_call(item)
        case TaskItem():
            task = _task(item.task)
            return DataChatKitTask(
                **_base(item), type="chatkit.task", task_type=task.type, heading=task.heading, summary=task.summary
            )
        case WorkflowItem():
            tasks = [DataChatKitTaskGroupTask(**_task(task)._asdict()) for task in item.workflow.tasks]
            return DataChatKitTaskGroup(**_base(item), type="chatkit.task_group", tasks=tasks)
        case _:
            raise TypeError(f"an item of the type {item.type} is not told")


def _base(item: ThreadItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "thread_id": item.thread_id,
        "created_at": unix_seconds(item.created_at),
        "object": "chatkit.thread_item",
    }


def _user_message(item: UserMessageItem) -> ChatKitThreadUserMessageItem:
    quoted = [ContentQuotedText(type="quoted_text", text=item.quoted_text)] if item.quoted_text else []
    return ChatKitThreadUserMessageItem(
        **_base(item),
        type="chatkit.user_message",
        content=[*quoted, *(_content(part) for part in item.content)],
        attachments=[_attachment(attachment) for attachment in item.attachments],
        inference_options=_inference_options(item),
    )


def _content(part: UserMessageContent) -> Content:
    """Return the text of a part; a tag is given as the model reads it."""
    text = f"@{part.text}" if isinstance(part, UserMessageTagContent) else part.text
    return ContentInputText(type="input_text", text=text)


def _attachment(attachment: Attachment) -> ChatKitAttachment:
    preview = str(attachment.preview_url) if isinstance(attachment, ImageAttachment) else None
    return ChatKitAttachment(
        id=attachment.id,
        type=attachment.type,
        name=attachment.name,
        mime_type=attachment.mime_type,
        preview_url=preview,
    )


def _inference_options(item: UserMessageItem) -> InferenceOptions | None:
    options = item.inference_options
    if options.model is None and options.tool_choice is None:
        return None
    tool = options.tool_choice and InferenceOptionsToolChoice(id=options.tool_choice.id)
    return InferenceOptions(model=options.model, tool_choice=tool)


def _assistant_message(item: AssistantMessageItem) -> ChatKitThreadAssistantMessageItem:
    content = [
        ChatKitResponseOutputText(
            type="output_text",
            text=part.text,
            annotations=[told for annotation in part.annotations if (told := _annotation(annotation)) is not None],
        )
        for part in item.content
    ]
    return ChatKitThreadAssistantMessageItem(**_base(item), type="chatkit.assistant_message", content=content)


def _annotation(annotation: Annotation) -> OpenAiAnnotation | None:
    match annotation.source:
        case URLSource(url=url):
            return AnnotationURL(type="url", source=AnnotationURLSource(type="url", url=url))
        case FileSource(filename=filename):
            return AnnotationFile(type="file", source=AnnotationFileSource(type="file", filename=filename))
        case _:  # an entity
            return None


def _client_tool_call(item: ClientToolCallItem) -> DataChatKitClientToolCall:
    is_completed = item.status == "completed"
    return DataChatKitClientToolCall(
        **_base(item),
        type="chatkit.client_tool_call",
        name=item.name,
        call_id=item.call_id,
        arguments=json.dumps(item.arguments, ensure_ascii=False),
        output=json.dumps(item.output, ensure_ascii=False) if is_completed else None,
        status="completed" if is_completed else "in_progress",
    )


class _Task(NamedTuple):
    type: Literal["custom", "thought"]
    heading: str | None
    summary: str | None


def _task(task: Task) -> _Task:
    """Return a task as one of the two kinds that OpenAI's API has."""
    match task:
        case ThoughtTask():
            return _Task("thought", task.title, task.content)
        case CustomTask():
            return _Task("custom", task.title, task.content)
        case SearchTask():
            return _Task("custom", task.title or task.title_query, "\n".join(task.queries) or None)
        case FileTask():
            return _Task("custom", task.title, "\n".join(source.filename for source in task.sources) or None)
        case _:  # an image
            return _Task("custom", task.title, None)
