"""The open workflow of a run: the block in which its thoughts are shown, and what its tools do."""

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
    """Where a task stands: found by its position, never by what it says (T33)."""

    workflow_id: str
    index: int


class OpenWorkflow:
    """The workflow that is open on the context, whoever opened it."""

    def __init__(self, context: AgentContext, shown: ShownItems) -> None:
        self._context = context
        self._shown = shown
        self._opened: set[str] = set()

    @property
    def item(self) -> WorkflowItem | None:
        """The open workflow."""
        return self._context.workflow_item

    def open(self) -> Events:
        """Opens a block for thoughts where none is open."""
        return [] if self._context.workflow_item is not None else self._open(Workflow(type="reasoning", tasks=[]))

    def add(self, task: Task) -> tuple[TaskPosition | None, Events]:
        """Shows what a tool does. Not in a workflow that the agent's author fills: its tools speak for themselves."""
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

    def change(self, place: TaskPosition, task: Task) -> Events:
        """Replaces a task, unless its workflow is closed."""
        item = self._context.workflow_item
        if item is None or item.id != place.workflow_id:
            return []
        item.workflow.tasks[place.index] = task
        update = WorkflowTaskUpdated(task=task, task_index=place.index)
        return [ThreadItemUpdatedEvent(item_id=item.id, update=update)]

    def close(self) -> Events:
        """Ends the open workflow; one that holds nothing is taken away again (T34)."""
        workflow = self._context.workflow_item
        if workflow is None:
            return []
        if workflow.workflow.tasks:
            return [self._context.close_workflow()]
        self._context.workflow_item = None
        if workflow.id not in self._shown:
            return []
        return self._shown.remove(workflow.id)

    def suspend(self) -> Events:
        """A workflow goes on behind a client tool call: it is saved as it stands and opened again by the output.

        One that only shows tools ends here.
        """
        workflow = self._context.workflow_item
        is_tools = workflow is not None and workflow.id in self._opened and workflow.workflow.type == "custom"
        if workflow is None or not workflow.workflow.tasks or is_tools:
            return self.close()
        return [ThreadItemDoneEvent(item=workflow.model_copy(deep=True))]

    def forget(self) -> None:
        """It is taken away with everything else."""
        self._context.workflow_item = None

    def _open(self, workflow: Workflow) -> Events:
        item = self._context.new_workflow_item(workflow)
        self._context.workflow_item = item
        self._opened.add(item.id)
        return [self._shown.show(item.model_copy(deep=True), in_transcript=False)]
