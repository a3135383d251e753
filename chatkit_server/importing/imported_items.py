"""Convert items of the hosted API to ChatKit's own, with a note in the place of what cannot be read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    CustomSummary,
    CustomTask,
    FileSource,
    InferenceOptions,
    Task,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ToolChoice,
    URLSource,
    UserMessageContent,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import DynamicWidgetRoot
from openai.types.beta.chatkit.chatkit_response_output_text import Annotation as HostedAnnotation
from openai.types.beta.chatkit.chatkit_thread_assistant_message_item import ChatKitThreadAssistantMessageItem
from openai.types.beta.chatkit.chatkit_thread_item_list import (
    Data,
    DataChatKitClientToolCall,
    DataChatKitTask,
    DataChatKitTaskGroup,
    DataChatKitTaskGroupTask,
)
from openai.types.beta.chatkit.chatkit_thread_user_message_item import ChatKitThreadUserMessageItem
from openai.types.beta.chatkit.chatkit_thread_user_message_item import InferenceOptions as HostedOptions
from openai.types.beta.chatkit.chatkit_widget_item import ChatKitWidgetItem
from pydantic import TypeAdapter, ValidationError

from ..events.workflow_summary import summarize_tools
from .missing_fields import completed
from .source import RawItem, Unreadable, read_time

_adapter: TypeAdapter[Any] = TypeAdapter(Data)

WIDGET_NOTE = "[A widget was shown here. It cannot be read and was not imported.]"
ITEM_NOTE = "[Something was shown here that cannot be imported ({kind}).]"
FILE_NOTE = "[The file “{name}” was attached here. Its content could not be imported.]"
MAX_DEPTH = 100
"""How deep JSON may be: pydantic saves and reads at most about twice that."""
THOUGHTS = CustomSummary(title="Thoughts")
"""The line that the widget shows of a block of thoughts; without one the block looks unfinished."""


@dataclass(frozen=True)
class ImportedItem:
    """An item as ChatKit has it."""

    item: ThreadItem
    notes: Sequence[str] = field(default=())
    """What notes stand for: keys of `import_report.KINDS`."""


def convert_item(
    raw: RawItem, item_id: str, thread_id: str, earlier: datetime, attachments: Mapping[str, Attachment]
) -> ImportedItem:
    """Return the item with the id `item_id`.

    `earlier` is the time of an item without a readable one, `attachments` are the files that came along, by their
    source's id.
    """
    raw = completed(raw)
    created_at = read_time(raw.get("created_at")) or earlier
    common = {"id": item_id, "thread_id": thread_id, "created_at": created_at}
    readable = {
        "object": "chatkit.thread_item",
        "thread_id": thread_id,
        **raw,
        "created_at": int(created_at.timestamp()),
        "attachments": [_named(attachment) for attachment in attachments_of(raw)],
    }
    try:
        hosted = _adapter.validate_python(readable)
    except ValidationError:
        return _note(common, raw)
    match hosted:
        case ChatKitThreadUserMessageItem():
            return _user_message(common, hosted, attachments)
        case ChatKitThreadAssistantMessageItem():
            parts = [
                AssistantMessageContent(text=part.text, annotations=[_annotation(entry) for entry in part.annotations])
                for part in hosted.content
            ]
            return ImportedItem(AssistantMessageItem(**common, content=parts))
        case ChatKitWidgetItem():
            return _widget(common, hosted)
        case DataChatKitClientToolCall():
            return ImportedItem(_tool_call(common, hosted))
        case DataChatKitTask():
            return ImportedItem(TaskItem(**common, task=_task(hosted.task_type, hosted.heading, hosted.summary)))
        case DataChatKitTaskGroup():
            return ImportedItem(WorkflowItem(**common, workflow=_workflow(hosted.tasks)))
    raise Unreadable(f"an item of the kind {type(hosted).__name__}")


def attachments_of(raw: RawItem) -> list[Mapping[str, Any]]:
    """Return the attachments of a message, those without an id with one of their place; of any other item none."""
    entries = raw.get("attachments")
    if raw.get("type") != "chatkit.user_message" or not isinstance(entries, list):
        return []
    attachments = [entry if isinstance(entry, Mapping) else {"name": entry} for entry in entries]
    return [
        entry if isinstance(entry.get("id"), str) else {**entry, "id": f"{raw.get('id')} {place}"}
        for place, entry in enumerate(attachments)
    ]


def _named(attachment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an attachment ends up in a message, if only its name."""
    name = attachment.get("name")
    return {"id": attachment["id"], "name": name if isinstance(name, str) else "file", "mime_type": "", "type": "file"}


def is_waiting(raw: RawItem) -> bool:
    """Return whether the item is a call of a tool in the page that has no output yet."""
    return raw.get("type") == "chatkit.client_tool_call" and raw.get("status") == "in_progress"


def _user_message(
    common: dict[str, Any], hosted: ChatKitThreadUserMessageItem, attachments: Mapping[str, Attachment]
) -> ImportedItem:
    content: list[UserMessageContent] = [
        UserMessageTextContent(text=part.text) for part in hosted.content if part.type == "input_text"
    ]
    lost = [attachment for attachment in hosted.attachments if attachment.id not in attachments]
    content += [UserMessageTextContent(text=FILE_NOTE.format(name=attachment.name)) for attachment in lost]
    quotes = [part.text for part in hosted.content if part.type == "quoted_text"]
    item = UserMessageItem(
        **common,
        content=content,
        attachments=[attachments[entry.id] for entry in hosted.attachments if entry.id in attachments],
        quoted_text="\n".join(quotes) if quotes else None,
        inference_options=_options(hosted.inference_options),
    )
    return ImportedItem(item, ["attachment"] * len(lost))


def _options(hosted: HostedOptions | None) -> InferenceOptions:
    if hosted is None:
        return InferenceOptions()
    choice = None if hosted.tool_choice is None else ToolChoice(id=hosted.tool_choice.id)
    return InferenceOptions(model=hosted.model, tool_choice=choice)


def _annotation(hosted: HostedAnnotation) -> Annotation:
    if hosted.type == "file":
        return Annotation(source=FileSource(title=hosted.source.filename, filename=hosted.source.filename))
    return Annotation(source=URLSource(title=_host(hosted.source.url), url=hosted.source.url))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _widget(common: dict[str, Any], hosted: ChatKitWidgetItem) -> ImportedItem:
    try:
        root = DynamicWidgetRoot.model_validate_json(hosted.widget)
    except ValidationError:
        return ImportedItem(_assistant_text(common, WIDGET_NOTE), ["widget"])
    return ImportedItem(WidgetItem(**common, widget=root))


def _tool_call(common: dict[str, Any], hosted: DataChatKitClientToolCall) -> ClientToolCallItem:
    arguments = _json(hosted.arguments)
    return ClientToolCallItem(
        **common,
        status="completed" if hosted.status == "completed" else "pending",
        call_id=hosted.call_id,
        name=hosted.name,
        arguments=arguments if isinstance(arguments, dict) else {"arguments": arguments},
        output=None if hosted.output is None else _json(hosted.output),
    )


def _json(text: str) -> Any:
    """Return the value of a JSON text, or the text if it is none, or one that cannot be saved."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_flat(value, MAX_DEPTH) else text


def _is_flat(value: Any, depth: int) -> bool:
    """Return whether lists and objects are nested in each other at most `depth` times."""
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth >= 0 and all(_is_flat(entry, depth - 1) for entry in entries)


def _workflow(hosted: Sequence[DataChatKitTaskGroupTask]) -> Workflow:
    tasks = [_task(task.type, task.heading, task.summary) for task in hosted]
    has_only_thoughts = bool(tasks) and all(isinstance(task, ThoughtTask) for task in tasks)
    workflow = Workflow(type="reasoning" if has_only_thoughts else "custom", tasks=tasks)
    workflow.summary = THOUGHTS if has_only_thoughts else summarize_tools(workflow)
    return workflow


def _task(kind: str, heading: str | None, summary: str | None) -> Task:
    if kind == "thought":
        return ThoughtTask(title=heading, content=summary or "", status_indicator="complete")
    return CustomTask(title=heading, content=summary, status_indicator="complete")


def _note(common: dict[str, Any], raw: RawItem) -> ImportedItem:
    """Return what an item says that is not in any known shape, or a note that there was one."""
    kind = raw.get("type")
    texts = _texts(raw.get("content"))
    note = ITEM_NOTE.format(kind=kind if isinstance(kind, str) else "of an unknown kind")
    if kind == "chatkit.user_message":
        content: list[UserMessageContent] = [UserMessageTextContent(text=text) for text in [*texts, note]]
        item: ThreadItem = UserMessageItem(**common, content=content, inference_options=InferenceOptions())
    else:
        item = _assistant_text(common, "\n\n".join([*texts, note]))
    return ImportedItem(item, ["item"])


def _texts(content: Any) -> list[str]:
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]


def _assistant_text(common: dict[str, Any], text: str) -> AssistantMessageItem:
    return AssistantMessageItem(**common, content=[AssistantMessageContent(text=text)])
