"""Show thoughts in the open workflow: the reasoning summary, or the reasoning text if there is no summary."""

from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar

from chatkit.types import ThoughtTask, ThreadItemUpdatedEvent, WorkflowItem, WorkflowTaskAdded, WorkflowTaskUpdated

from .open_workflow import OpenWorkflow
from .shown_items import Events, Handlers

THOUGHT_INTERVAL = 0.1
"""Seconds between two updates of a thought. Each carries the whole text, so one per token would be quadratic."""


@dataclass
class _Thought:
    """A thought while it streams into the open workflow."""

    workflow_id: str
    index: int
    task: ThoughtTask
    shown_at: float


class Thoughts:
    """The thoughts of the current response."""

    def __init__(self, workflow: OpenWorkflow, *, interval: float = THOUGHT_INTERVAL) -> None:
        """`interval` is the number of seconds between two updates of a thought."""
        self._workflow = workflow
        self._interval = interval
        self._thoughts: dict[tuple[int, str, int], _Thought] = {}
        self._summarized: set[int] = set()

    def clear(self) -> None:
        """Start the next response."""
        self._thoughts.clear()
        self._summarized.clear()

    async def _summary_delta(self, event: Any) -> Events:
        self._summarized.add(event.output_index)
        return self._think((event.output_index, "summary", event.summary_index), event.delta)

    async def _summary_done(self, event: Any) -> Events:
        self._summarized.add(event.output_index)
        return self._think((event.output_index, "summary", event.summary_index), event.text, done=True)

    async def _text_delta(self, event: Any) -> Events:
        if event.output_index in self._summarized:  # the summary is already shown
            return []
        return self._think((event.output_index, "text", event.content_index), event.delta)

    async def _text_done(self, event: Any) -> Events:
        if event.output_index in self._summarized:
            return []
        return self._think((event.output_index, "text", event.content_index), event.text, done=True)

    def _think(self, key: tuple[int, str, int], text: str, *, done: bool = False) -> Events:
        events = self._workflow.open()
        workflow = self._workflow.item
        assert workflow is not None
        thought = self._thoughts.get(key)
        if thought is None or thought.workflow_id != workflow.id:
            if not text:
                return events
            return [*events, self._new_thought(key, workflow, text)]
        thought.task.content = text if done else thought.task.content + text
        if not done and monotonic() - thought.shown_at < self._interval:
            return events
        thought.shown_at = monotonic()
        update = WorkflowTaskUpdated(task=thought.task.model_copy(), task_index=thought.index)
        return [*events, ThreadItemUpdatedEvent(item_id=workflow.id, update=update)]

    def _new_thought(self, key: tuple[int, str, int], workflow: WorkflowItem, text: str) -> ThreadItemUpdatedEvent:
        task = ThoughtTask(content=text)
        tasks = workflow.workflow.tasks
        tasks.append(task)
        self._thoughts[key] = _Thought(workflow.id, len(tasks) - 1, task, monotonic())
        update = WorkflowTaskAdded(task=task.model_copy(), task_index=len(tasks) - 1)
        return ThreadItemUpdatedEvent(item_id=workflow.id, update=update)

    HANDLERS: ClassVar[Handlers] = {
        "response.reasoning_summary_text.delta": _summary_delta,
        "response.reasoning_summary_text.done": _summary_done,
        "response.reasoning_text.delta": _text_delta,
        "response.reasoning_text.done": _text_done,
    }
