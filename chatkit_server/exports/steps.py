"""Show the agents whose answer only the workflow reads: a task with the name of the agent for each."""

from chatkit.types import (
    CustomSummary,
    CustomTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from ..agent_context import AgentContext
from ..events.fold import settle
from ..events.workflow_summary import FAILED

Events = list[ThreadStreamEvent]


class Steps:
    """The open block of tasks of a turn. Steps in a row share one."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._item: WorkflowItem | None = None

    def start(self, title: str) -> Events:
        """Return the events that show a step as running."""
        task = CustomTask(title=title, status_indicator="loading")
        if self._item is None:
            self._item = self._context.new_workflow_item(Workflow(type="custom", tasks=[task]))
            return [ThreadItemAddedEvent(item=self._item.model_copy(deep=True))]
        tasks = self._item.workflow.tasks
        tasks.append(task)
        return [self._updated(WorkflowTaskAdded(task=task, task_index=len(tasks) - 1))]

    def finish(self, *, has_failed: bool = False) -> Events:
        """Return the events that show the last step as done, or as failed."""
        if self._item is None:
            return []
        tasks = self._item.workflow.tasks
        end = {"status_indicator": "none", "content": FAILED} if has_failed else {"status_indicator": "complete"}
        tasks[-1] = task = tasks[-1].model_copy(update=end)
        return [self._updated(WorkflowTaskUpdated(task=task, task_index=len(tasks) - 1))]

    def close(self) -> Events:
        """Return the events that close the block: an answer follows, or the turn ends."""
        if self._item is None:
            return []
        item, self._item = self._item, None
        titles = list(dict.fromkeys(str(getattr(task, "title", "")) for task in item.workflow.tasks))
        item.workflow.summary = CustomSummary(title=", ".join(titles))
        item.workflow.expanded = False
        return [ThreadItemDoneEvent(item=settle(item))]

    def _updated(self, update: WorkflowTaskAdded | WorkflowTaskUpdated) -> ThreadItemUpdatedEvent:
        assert self._item is not None
        return ThreadItemUpdatedEvent(item_id=self._item.id, update=update)
