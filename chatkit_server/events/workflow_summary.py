"""Summarize tool calls in one line: of a finished workflow, the widget shows only this line until a user opens it."""

from collections.abc import Sequence

from chatkit.types import CustomSummary, SearchTask, Task, ThoughtTask, Workflow

FAILED = "This failed."
"""The content of the task of a failed call."""
HANDOFF_ICON = "agent"
"""The icon of the task of a handoff."""


def summarize_tools(workflow: Workflow) -> CustomSummary | None:
    """Return the title of the only call, or how many there were, and the handoffs; None if there are only thoughts."""
    tasks = [task for task in workflow.tasks if not isinstance(task, ThoughtTask) and _title(task)]
    handoffs = [task for task in tasks if getattr(task, "icon", None) == HANDOFF_ICON]
    calls = [task for task in tasks if getattr(task, "icon", None) != HANDOFF_ICON]
    parts = [*([_summarize_calls(calls)] if calls else []), *(_title(task) for task in handoffs)]
    if not parts:
        return None
    return CustomSummary(title=", ".join(parts), icon=getattr(tasks[0], "icon", None) if len(tasks) == 1 else None)


def _summarize_calls(calls: Sequence[Task]) -> str:
    titles = {_title(task) for task in calls}
    failed_count = sum(getattr(task, "content", None) == FAILED for task in calls)
    if len(titles) > 1:
        return f"Used {len(calls)} tools" + (f", {failed_count} failed" if failed_count else "")
    times = f" ({len(calls)}×)" if len(calls) > 1 else ""
    return f"{titles.pop()}{times}{' (failed)' if failed_count == len(calls) else ''}"


def _title(task: Task) -> str:
    title = getattr(task, "title", None) or ""
    query = task.title_query if isinstance(task, SearchTask) else None
    return f"{title}: {query}" if title and query else title
