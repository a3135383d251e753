"""Convert a thread item to plain text, for the `text` column that people query."""

import json
from typing import Any

from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    EndOfTurnItem,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInput,
    StructuredInputItem,
    Task,
    TaskItem,
    ThreadItem,
    UserMessageContent,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)

from chatkit_store.columns import dump_json

_OtherItem = (
    WidgetItem | ClientToolCallItem | WorkflowItem | TaskItem | StructuredInputItem | GeneratedImageItem | EndOfTurnItem
)


def plain_text(item: ThreadItem) -> str:
    """Return the item's text without added markup; empty if it has none."""
    match item:
        case UserMessageItem():
            return "".join(_content_text(part) for part in item.content)
        case AssistantMessageItem():
            return "\n".join(part.text for part in item.content)
        case SDKHiddenContextItem():
            return item.content
        case HiddenContextItem():
            return item.content if isinstance(item.content, str) else dump_json(item.content)
        case _:
            return _other_text(item)


def _other_text(item: _OtherItem) -> str:
    """Return the text of an item that is not a message."""
    match item:
        case WidgetItem():
            return item.copy_text or ""
        case ClientToolCallItem():
            return f"{item.name}({_arguments(item.arguments)})"
        case WorkflowItem():
            return _lines(_summary(item.workflow), *(_task_text(task) for task in item.workflow.tasks))
        case TaskItem():
            return _task_text(item.task)
        case StructuredInputItem():
            return _lines(*(_question_text(question) for question in item.inputs))
        case GeneratedImageItem() | EndOfTurnItem():
            return ""


def _content_text(part: UserMessageContent) -> str:
    return part.text if isinstance(part, UserMessageTextContent) else f"@{part.text}"


def _arguments(arguments: dict[str, Any]) -> str:
    values = ((name, json.dumps(value, ensure_ascii=False, default=str)) for name, value in arguments.items())
    return ", ".join(f"{name}={value}" for name, value in values)


def _summary(workflow: Workflow) -> str | None:
    return getattr(workflow.summary, "title", None)  # a DurationSummary has none


def _task_text(task: Task) -> str:
    """Return title, content and queries, as far as this kind of task has them."""
    queries = getattr(task, "queries", None) or []
    return _lines(task.title, getattr(task, "content", None), *queries)


def _question_text(question: StructuredInput) -> str:
    answers = ", ".join(question.answer.values) if question.answer else ""
    return f"{question.question} {answers}".strip()


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part)
