"""The open workflow of a run: the block in which its thoughts are shown, and what its tools do."""

from chatkit.types import ThreadItemDoneEvent, ThreadItemRemovedEvent, Workflow, WorkflowItem

from ..agent_context import AgentContext
from .shown import Events, Shown


class Block:
    """The workflow that is open on the context, whoever opened it."""

    def __init__(self, context: AgentContext, shown: Shown) -> None:
        self._context = context
        self._shown = shown

    @property
    def item(self) -> WorkflowItem | None:
        """The open workflow."""
        return self._context.workflow_item

    def open(self) -> Events:
        """Opens a block for thoughts where none is open."""
        if self._context.workflow_item is not None:
            return []
        item = self._context.new_workflow_item(Workflow(type="reasoning", tasks=[]))
        self._context.workflow_item = item
        return [self._shown.show(item.model_copy(deep=True), is_told=False)]

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
        return self._shown.pass_on(ThreadItemRemovedEvent(item_id=workflow.id))

    def suspend(self) -> Events:
        """A workflow goes on behind a client tool call: it is saved as it stands and opened again by the output."""
        workflow = self._context.workflow_item
        if workflow is None or not workflow.workflow.tasks:
            return self.close()
        return [ThreadItemDoneEvent(item=workflow.model_copy(deep=True))]

    def forget(self) -> None:
        """It is taken away with everything else."""
        self._context.workflow_item = None
