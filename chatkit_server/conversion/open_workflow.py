"""The open workflow of a run: the block that shows its thoughts and its tool calls."""

from dataclasses import dataclass

from chatkit.types import (
    Task,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from ..agent_context import AgentContext
from .shown_items import Events, ShownItems


@dataclass(frozen=True, slots=True)
class TaskPosition:
    """The position of a task in a workflow. Tasks may have equal contents (T33)."""

    workflow_id: str
    index: int


class OpenWorkflow:
    """The workflow that is open on the context, opened by us or by a tool."""

    def __init__(self, context: AgentContext, shown_items: ShownItems) -> None:
        self._context = context
        self._shown_items = shown_items
        self._opened: set[str] = set()

    @property
    def item(self) -> WorkflowItem | None:
        """The open workflow's item, or None."""
        return self._context.workflow_item

    def open(self) -> Events:
        """Open a workflow for thoughts, if none is open."""
        return [] if self._context.workflow_item is not None else self._open(Workflow(type="reasoning", tasks=[]))

    def add(self, task: Task) -> tuple[TaskPosition | None, Events]:
        """Add the task of a tool call. Returns no position if a tool of the agent fills the open workflow itself."""
        item = self._context.workflow_item
        if item is None:
            events = self._open(Workflow(type="custom", tasks=[task]))
            item = self._context.workflow_item
            assert item is not None
        elif item.id not in self._opened or self._context.is_authored(item):
            return None, []
        else:
            item.workflow.tasks.append(task)
            added = WorkflowTaskAdded(task=task, task_index=len(item.workflow.tasks) - 1)
            events = [ThreadItemUpdatedEvent(item_id=item.id, update=added)]
        self._context.mark_tool_block(item)
        return TaskPosition(item.id, len(item.workflow.tasks) - 1), events

    def change(self, position: TaskPosition, task: Task) -> Events:
        """Replace a task, unless its workflow is closed."""
        item = self._context.workflow_item
        if item is None or item.id != position.workflow_id:
            return []
        item.workflow.tasks[position.index] = task
        update = WorkflowTaskUpdated(task=task, task_index=position.index)
        return [ThreadItemUpdatedEvent(item_id=item.id, update=update)]

    def close(self) -> Events:
        """Close the open workflow, or remove it if it is empty (T34)."""
        item = self._context.workflow_item
        if item is None:
            return []
        if item.workflow.tasks:
            return [self._context.close_workflow()]
        self._context.workflow_item = None
        return self._shown_items.remove(item.id) if item.id in self._shown_items else []

    def suspend(self) -> Events:
        """Save the open workflow before a client tool call. The next turn reopens it.

        A workflow that only shows tool calls is closed instead.
        """
        item = self._context.workflow_item
        if item is None or not item.workflow.tasks:
            return self.close()
        if item.id in self._opened and item.workflow.type == "custom":
            return self.close()
        return [ThreadItemDoneEvent(item=item.model_copy(deep=True))]

    def forget(self) -> None:
        """Drop the open workflow without an event: everything the run showed is removed."""
        self._context.workflow_item = None

    def _open(self, workflow: Workflow) -> Events:
        item = self._context.new_workflow_item(workflow)
        self._context.workflow_item = item
        self._opened.add(item.id)
        return [self._shown_items.show(item.model_copy(deep=True), in_transcript=False)]
