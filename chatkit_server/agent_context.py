"""What an agent's tools get as their context: chatkit's `AgentContext`, with its helpers on our clock and our queue.

Differences from chatkit 1.6.5, each a trap: aware UTC times (T17, T18), tasks found by position and not by equality
(T33), and one queue for the helpers' events and the run's own, so that no task per event merges them (T3).
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

from agents import Agent, RunResultStreaming
from chatkit.agents import AgentContext as SdkAgentContext
from chatkit.server import stream_widget
from chatkit.store import StoreItemType
from chatkit.types import (
    ClientToolCallItem,
    CustomSummary,
    DurationSummary,
    StructuredInput,
    StructuredInputItem,
    Task,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from chatkit.widgets import WidgetRoot
from pydantic import PrivateAttr

from .context import RequestContext
from .events.fold import settle

BEHIND_A_WORKFLOW = frozenset({"client_tool_call", "hidden_context_item", "sdk_hidden_context"})
"""Types of items that do not show, so that an open workflow goes on over them."""

Inbox = asyncio.Queue[Any]
"""Takes the model's events, the run's item events, `HelperEvent`s and, last, a `RunEnd`; in the order they happen."""


class HelperEvent:
    """An event that a tool sent through the context."""

    __slots__ = ("event",)

    def __init__(self, event: ThreadStreamEvent) -> None:
        self.event = event


class OutsideEvent(HelperEvent):
    """An event from beside the run: it says nothing of whether the model is still alive."""

    __slots__ = ()


class RunEnd:
    """The run is over; `error` says how, None for well."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class AgentContext(SdkAgentContext[RequestContext]):
    """One per turn. `thread`, `store`, `request_context` and all helpers are as the SDK documents them."""

    _inbox: Inbox = PrivateAttr(default_factory=asyncio.Queue)
    _authored: set[str] = PrivateAttr(default_factory=set)
    _tool_blocks: set[str] = PrivateAttr(default_factory=set)
    _run: RunResultStreaming | None = PrivateAttr(default=None)
    _starting_agent: str | None = PrivateAttr(default=None)
    _client_calls: list[ClientToolCallItem] = PrivateAttr(default_factory=list)
    _question_ids: list[str] = PrivateAttr(default_factory=list)
    _failed_calls: set[str] = PrivateAttr(default_factory=set)
    _generated_ids: set[str] = PrivateAttr(default_factory=set)

    @property
    def inbox(self) -> Inbox:
        """Where the one reader of the turn finds all that happens in it."""
        return self._inbox

    @property
    def question_ids(self) -> list[str]:
        """The ids of the questions that this run has asked."""
        return self._question_ids

    @property
    def failed_calls(self) -> set[str]:
        """The ids of the tool calls of this run that failed."""
        return self._failed_calls

    @property
    def client_calls(self) -> list[ClientToolCallItem]:
        """What tools asked the page to do in this run."""
        return self._client_calls

    def generate_id(self, type: StoreItemType, thread: ThreadMetadata | None = None) -> str:
        """A new id of the store's."""
        made = super().generate_id(type, thread)
        self._generated_ids.add(made)
        return made

    def has_generated(self, item_id: str) -> bool:
        """Whether the id is one of `generate_id`: its item cannot be older."""
        return item_id in self._generated_ids

    @property
    def starting_agent(self) -> str:
        """The name of the agent that the run began with, whose hand-offs lead to all others of the run."""
        return self._starting_agent or ""

    def set_starting_agent(self, agent: Agent[Any]) -> None:
        """The next run begins with this agent."""
        self._starting_agent = agent.name

    def attach(self, run: RunResultStreaming) -> None:
        """From here on this is the run whose tools have the context."""
        self._run = run
        if self._starting_agent is None:
            self.set_starting_agent(run.current_agent)

    def detach(self) -> None:
        """The run is over."""
        self._run = None  # the two would keep each other alive

    def pause(self) -> None:
        """Ends the run when the tools that were called with the current one have returned, without asking the model
        again: what follows is the user's or the page's."""
        if self._run is not None:
            self._run.cancel(mode="after_turn")

    def call_client_tool(self, name: str, arguments: dict[str, Any], call_id: str) -> None:
        """Has the page run its tool `name`, and ends the run; it goes on with the page's answer to `call_id`, which is
        the call of the model's that asks for it."""
        item = ClientToolCallItem(
            id=self.generate_id("tool_call"),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            call_id=call_id,
            name=name,
            arguments=arguments,
        )
        self._client_calls.append(item)
        self.pause()

    async def ask(self, questions: Sequence[StructuredInput]) -> None:
        """Shows the user questions in the place of the composer, and ends the run; it goes on with the answers."""
        item = StructuredInputItem(
            id=self.generate_id("message"),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            inputs=list(questions),
        )
        self._question_ids.append(item.id)
        await self.stream(ThreadItemDoneEvent(item=item))
        self.pause()

    async def stream(self, event: ThreadStreamEvent) -> None:
        """Sends an event to the client, behind everything that the agent sent before.

        An item that shows below the open workflow closes it, as the SDK does.
        """
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
            self._follow_workflow(event)
        self._put(event)

    async def stream_widget(
        self, widget: WidgetRoot | AsyncGenerator[WidgetRoot, None], copy_text: str | None = None
    ) -> None:
        """Shows a widget; a generator of widgets is shown live, each state replacing the one before."""
        async for event in stream_widget(self.thread, widget, copy_text, self.generate_id):
            await self.stream(event)

    async def start_workflow(self, workflow: Workflow) -> None:
        """Opens a workflow. A custom one shows with its first task, a reasoning one at once."""
        if self.workflow_item is not None and self.workflow_item.workflow.tasks:
            await self.stream(self.close_workflow())
        self.workflow_item = self.new_workflow_item(workflow)
        self._authored.add(self.workflow_item.id)
        if workflow.type == "reasoning" or workflow.tasks:
            await self.stream(ThreadItemAddedEvent(item=self.workflow_item))

    async def add_workflow_task(self, task: Task) -> None:
        """Adds a task to the open workflow, opening one where there is none, or where it shows calls of tools."""
        if self.workflow_item is not None and self.workflow_item.id in self._tool_blocks:
            await self.stream(self.close_workflow())
        if self.workflow_item is None:
            self.workflow_item = self.new_workflow_item(Workflow(type="custom", tasks=[]))
        self._authored.add(self.workflow_item.id)
        workflow = self.workflow_item.workflow
        workflow.tasks.append(task)
        if workflow.type != "reasoning" and len(workflow.tasks) == 1:
            await self.stream(ThreadItemAddedEvent(item=self.workflow_item))
            return
        update = WorkflowTaskAdded(task=task, task_index=len(workflow.tasks) - 1)
        await self.stream(ThreadItemUpdatedEvent(item_id=self.workflow_item.id, update=update))

    async def update_workflow_task(self, task: Task, task_index: int) -> None:
        """Replaces the task at `task_index`. Raises ValueError without a workflow, IndexError beyond its tasks."""
        if self.workflow_item is None:
            raise ValueError("Workflow is not set")
        self.workflow_item.workflow.tasks[task_index] = task
        update = WorkflowTaskUpdated(task=task, task_index=task_index)
        await self.stream(ThreadItemUpdatedEvent(item_id=self.workflow_item.id, update=update))

    async def end_workflow(
        self, summary: CustomSummary | DurationSummary | None = None, expanded: bool = False
    ) -> None:
        """Closes the open workflow; without a summary it shows how long it took."""
        if self.workflow_item is not None:
            await self.stream(self.close_workflow(summary, expanded))

    def is_authored(self, item: WorkflowItem) -> bool:
        """Whether a tool wrote into the workflow, so that its tasks are counted by the tool."""
        return item.id in self._authored

    def mark_tool_block(self, item: WorkflowItem) -> None:
        """The workflow shows calls of tools; tools themselves write into another."""
        self._tool_blocks.add(item.id)

    def new_workflow_item(self, workflow: Workflow) -> WorkflowItem:
        """A workflow item of this thread with an id of the store's."""
        return WorkflowItem(
            id=self.generate_id("workflow"),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            workflow=workflow,
        )

    def close_workflow(
        self, summary: CustomSummary | DurationSummary | None = None, expanded: bool = False
    ) -> ThreadItemDoneEvent:
        """Takes the open workflow off the context and returns its done event."""
        item = self.workflow_item
        assert item is not None
        workflow = item.workflow
        if item.id in self._tool_blocks:
            settle(item)
        workflow.summary = summary or workflow.summary or DurationSummary(duration=_seconds_since(item.created_at))
        workflow.expanded = expanded
        self.workflow_item = None
        return ThreadItemDoneEvent(item=item)

    def _follow_workflow(self, event: ThreadItemAddedEvent | ThreadItemDoneEvent) -> None:
        item, current = event.item, self.workflow_item
        if current is not None and current.id != item.id and item.type not in BEHIND_A_WORKFLOW:
            self._put(self.close_workflow())
        if isinstance(item, WorkflowItem):
            if isinstance(event, ThreadItemAddedEvent):
                self.workflow_item = item
            elif self.workflow_item is not None and self.workflow_item.id == item.id:
                self.workflow_item = None

    def _put(self, event: ThreadStreamEvent) -> None:
        # A copy: the tool may change its item before the event is read.
        self._inbox.put_nowait(HelperEvent(event.model_copy(deep=True)))


def unfinished_workflow(items: Sequence[ThreadItem]) -> WorkflowItem | None:
    """Return the workflow that a client tool call left open, if it is the last visible item, or None."""
    item = next((item for item in reversed(items) if item.type not in BEHIND_A_WORKFLOW), None)
    return item if isinstance(item, WorkflowItem) and item.workflow.summary is None else None


def _seconds_since(moment: datetime) -> int:
    return max(0, int((datetime.now(UTC) - moment.astimezone(UTC)).total_seconds()))
