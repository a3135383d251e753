"""What a thread item says, in plain text: the `text` column that people read with SQL."""

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

_Shown = (
    WidgetItem | ClientToolCallItem | WorkflowItem | TaskItem | StructuredInputItem | GeneratedImageItem | EndOfTurnItem
)


def plain_text(item: ThreadItem) -> str:
    """The item's words, without markup of ours; empty where it has none."""
    match item:
        case UserMessageItem():
            return "".join(_said(part) for part in item.content)
        case AssistantMessageItem():
            return "\n".join(part.text for part in item.content)
        case SDKHiddenContextItem():
            return item.content
        case HiddenContextItem():
            return item.content if isinstance(item.content, str) else dump_json(item.content)
        case _:
            return _shown(item)


def _shown(item: _Shown) -> str:
    """The words of what is no message."""
    match item:
        case WidgetItem():
            return item.copy_text or ""
        case ClientToolCallItem():
            return f"{item.name}({_arguments(item.arguments)})"
        case WorkflowItem():
            return _lines(_summary(item.workflow), *(_task(task) for task in item.workflow.tasks))
        case TaskItem():
            return _task(item.task)
        case StructuredInputItem():
            return _lines(*(_question(question) for question in item.inputs))
        case GeneratedImageItem() | EndOfTurnItem():
            return ""


def _said(part: UserMessageContent) -> str:
    return part.text if isinstance(part, UserMessageTextContent) else f"@{part.text}"


def _arguments(arguments: dict[str, Any]) -> str:
    values = ((name, json.dumps(value, ensure_ascii=False, default=str)) for name, value in arguments.items())
    return ", ".join(f"{name}={value}" for name, value in values)


def _summary(workflow: Workflow) -> str | None:
    return getattr(workflow.summary, "title", None)  # a DurationSummary has none


def _task(task: Task) -> str:
    """Title and content, or the queries, of whichever kind of task."""
    queries = getattr(task, "queries", None) or []
    return _lines(task.title, getattr(task, "content", None), *queries)


def _question(question: StructuredInput) -> str:
    answers = ", ".join(question.answer.values) if question.answer else ""
    return f"{question.question} {answers}".strip()


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part)
