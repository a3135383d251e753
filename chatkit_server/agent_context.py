"""The context that tools receive: chatkit's `AgentContext`, with helpers that write to the run's own queue.

Differences from chatkit 1.6.5: times are aware UTC (T17, T18); a workflow task is found by position, not by equality
(T33); helpers and the run share one queue, so that no task per event is needed to merge them (T3).
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextvars import Context, ContextVar, copy_context
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from agents import Agent, RunContextWrapper, RunResultStreaming
from chatkit.agents import AgentContext as SdkAgentContext
from chatkit.agents import ClientToolCall
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
from .events.workflow_summary import summarize_tools
from .fast_path.inbox import Inbox, LateQueue

BEHIND_A_WORKFLOW = frozenset({"client_tool_call", "hidden_context_item", "sdk_hidden_context"})
"""Types of items that are not visible. They do not close an open workflow."""


class HelperEvent:
    """An event that a tool sent through a helper of the context."""

    __slots__ = ("event",)

    def __init__(self, event: ThreadStreamEvent) -> None:
        self.event = event


class OutsideEvent(HelperEvent):
    """An event that does not come from the run, such as a title. It does not show that the model is alive."""

    __slots__ = ()


class RunEnd:
    """The end of the run. `error` is None for success."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Recording(Protocol):
    """What the author's function that runs agents has done so far."""

    def to_json(self) -> dict[str, Any]:
        """Return what is saved with a run that pauses."""


@dataclass(slots=True)
class _RunNotes:
    """What a turn notes of its run. One object: pydantic makes a model's private attributes one by one, and slowly."""

    inbox: Inbox = field(default_factory=Inbox)
    authored: frozenset[str] = frozenset()  # replaced when it grows: an empty set takes 216 bytes
    tool_blocks: frozenset[str] = frozenset()
    run: RunResultStreaming | None = None
    starting_agent: str | None = None
    client_calls: list[ClientToolCallItem] = field(default_factory=list)
    question_ids: list[str] = field(default_factory=list)
    failed_calls: set[str] = field(default_factory=set)
    generated_ids: set[str] = field(default_factory=set)
    recording: Recording | None = None
    own_context: Any = None
    is_taken: bool = False


class AgentContext(SdkAgentContext[RequestContext]):
    """One per turn. `thread`, `store`, `request_context` and all helpers work as the SDK documents them.

    The agent's code gets it as the context of the run, or a subclass of the author's with more fields. It may also get
    any other object (`run_context`); then `AgentContext.of` returns that of the turn.
    """

    _events: Any = PrivateAttr(default_factory=LateQueue)  # chatkit's queue, for its own `stream_agent_response`
    _notes: _RunNotes = PrivateAttr(default_factory=_RunNotes)

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied._notes = copy(self._notes)
        return copied

    @classmethod
    def of(cls, context: Any) -> Self:
        """Return the `AgentContext` of the turn that a run belongs to, whatever the context of that run is.

        `context` is what a tool, a guardrail or a hook gets. Raises RuntimeError outside of a turn, TypeError if the
        turn's is not of this class.
        """
        turn = context_of_turn(context.context if isinstance(context, RunContextWrapper) else context)
        if turn is None:
            raise RuntimeError("There is no chat here: ChatServer has not started this run.")
        if not isinstance(turn, cls):
            raise TypeError(f"The context of this turn is {type(turn).__name__}, not {cls.__name__}.")
        return turn

    @property
    def run_context(self) -> Any:
        """What the agent's code gets as the context of its run: this object, or one of the author's own."""
        return self if self._notes.own_context is None else self._notes.own_context

    def carry(self, own: Any) -> None:
        """Make an object of the author's the context of the run. The helpers of chatkit's class send to this turn."""
        self._notes.own_context = own
        if isinstance(own, SdkAgentContext):
            own._events = _TurnEvents(self)

    def take(self) -> bool:
        """Return whether no turn has taken this object before: it belongs to one."""
        is_free, self._notes.is_taken = not self._notes.is_taken, True
        return is_free

    @property
    def page_call(self) -> ClientToolCall | None:
        """The call of the page's tools that a tool has left in the context, as in chatkit's samples."""
        own = self._notes.own_context
        return own.client_tool_call if isinstance(own, SdkAgentContext) else self.client_tool_call

    def take_events(self) -> list[ThreadStreamEvent]:
        """Return what the helpers have sent, where no run is there to show it."""
        events = [self._notes.inbox.get_nowait() for _ in range(self._notes.inbox.qsize())]
        return [event.event for event in events if isinstance(event, HelperEvent)]

    @property
    def inbox(self) -> Inbox:
        """Model events, run item events, `HelperEvent`s and a final `RunEnd`, in the order they happen."""
        return self._notes.inbox

    @property
    def question_ids(self) -> list[str]:
        """Ids of the question items that this run showed."""
        return self._notes.question_ids

    @property
    def failed_calls(self) -> set[str]:
        """Ids of the tool calls of this run that failed."""
        return self._notes.failed_calls

    @property
    def client_calls(self) -> list[ClientToolCallItem]:
        """Client tool calls that tools of this run made."""
        return self._notes.client_calls

    @property
    def recording(self) -> Recording | None:
        """The recording of the function that runs the agents; None if we run one ourselves."""
        return self._notes.recording

    def record(self, recording: Recording) -> None:
        """Save this recording with a run that pauses."""
        self._notes.recording = recording

    def generate_id(self, type: StoreItemType, thread: ThreadMetadata | None = None) -> str:
        """Return a new id from the store."""
        item_id = super().generate_id(type, thread)
        self._notes.generated_ids.add(item_id)
        return item_id

    def has_generated(self, item_id: str) -> bool:
        """Return whether `generate_id` returned this id. If so, its item is not older than the turn."""
        return item_id in self._notes.generated_ids

    @property
    def starting_agent(self) -> str:
        """The name of the agent that the run began with. Its handoffs lead to all other agents of the run."""
        return self._notes.starting_agent or ""

    def set_starting_agent(self, agent: Agent[Any]) -> None:
        """Record the agent that the next run begins with."""
        self._notes.starting_agent = agent.name

    def attach(self, run: RunResultStreaming) -> None:
        """Record the run whose tools use this context, so that `pause` can end it."""
        self._notes.run = run
        if self._notes.starting_agent is None:
            self.set_starting_agent(run.current_agent)

    def detach(self) -> None:
        """Forget the run."""
        self._notes.run = None  # otherwise the two would keep each other alive

    def pause(self) -> None:
        """End the run once all tools of the current response have returned, without calling the model again.

        The user or the page continues it.
        """
        if self._notes.run is not None:
            self._notes.run.cancel(mode="after_turn")

    def call_client_tool(self, name: str, arguments: dict[str, Any], call_id: str) -> None:
        """Ask the page to run its tool `name`, and pause the run. The page's answer resumes it.

        `call_id` is the id of the model's call, which the answer belongs to.
        """
        item = ClientToolCallItem(
            id=self.generate_id("tool_call"),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            call_id=call_id,
            name=name,
            arguments=arguments,
        )
        self._notes.client_calls.append(item)
        self.pause()

    async def ask(self, questions: Sequence[StructuredInput]) -> None:
        """Show questions in place of the composer, and pause the run. The user's answers resume it."""
        item = StructuredInputItem(
            id=self.generate_id("message"),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            inputs=list(questions),
        )
        self._notes.question_ids.append(item.id)
        await self.stream(ThreadItemDoneEvent(item=item))
        self.pause()

    async def stream(self, event: ThreadStreamEvent) -> None:
        """Send an event to the client, after everything that the agent sent before.

        A visible item closes the open workflow, as in the SDK.
        """
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
            self._follow_workflow(event)
        self._put(event)

    async def stream_widget(
        self, widget: WidgetRoot | AsyncGenerator[WidgetRoot, None], copy_text: str | None = None
    ) -> None:
        """Show a widget. A generator of widgets is shown live: each state replaces the one before."""
        async for event in stream_widget(self.thread, widget, copy_text, self.generate_id):
            await self.stream(event)

    async def start_workflow(self, workflow: Workflow) -> None:
        """Open a workflow. A reasoning workflow is shown at once, a custom one with its first task."""
        if self.workflow_item is not None and self.workflow_item.workflow.tasks:
            await self.stream(self.close_workflow())
        self.workflow_item = self.new_workflow_item(workflow)
        self._notes.authored |= {self.workflow_item.id}
        if workflow.type == "reasoning" or workflow.tasks:
            await self.stream(ThreadItemAddedEvent(item=self.workflow_item))

    async def add_workflow_task(self, task: Task) -> None:
        """Add a task to the open workflow. Opens a new one if none is open, or the open one shows tool calls."""
        if self.workflow_item is not None and self.workflow_item.id in self._notes.tool_blocks:
            await self.stream(self.close_workflow())
        if self.workflow_item is None:
            self.workflow_item = self.new_workflow_item(Workflow(type="custom", tasks=[]))
        self._notes.authored |= {self.workflow_item.id}
        workflow = self.workflow_item.workflow
        workflow.tasks.append(task)
        if workflow.type != "reasoning" and len(workflow.tasks) == 1:
            await self.stream(ThreadItemAddedEvent(item=self.workflow_item))
            return
        update = WorkflowTaskAdded(task=task, task_index=len(workflow.tasks) - 1)
        await self.stream(ThreadItemUpdatedEvent(item_id=self.workflow_item.id, update=update))

    async def update_workflow_task(self, task: Task, task_index: int) -> None:
        """Replace the task at `task_index`. Raises ValueError without a workflow, IndexError beyond its tasks."""
        if self.workflow_item is None:
            raise ValueError("Workflow is not set")
        self.workflow_item.workflow.tasks[task_index] = task
        update = WorkflowTaskUpdated(task=task, task_index=task_index)
        await self.stream(ThreadItemUpdatedEvent(item_id=self.workflow_item.id, update=update))

    async def end_workflow(
        self, summary: CustomSummary | DurationSummary | None = None, expanded: bool = False
    ) -> None:
        """Close the open workflow, if any. The default summary is how long it took."""
        if self.workflow_item is not None:
            await self.stream(self.close_workflow(summary, expanded))

    def is_authored(self, item: WorkflowItem) -> bool:
        """Return whether a tool wrote to the workflow. The tool then relies on its task indexes."""
        return item.id in self._notes.authored

    def mark_tool_block(self, item: WorkflowItem) -> None:
        """Record that we show tool calls in this workflow. Tools that add tasks get another one."""
        self._notes.tool_blocks |= {item.id}

    def new_workflow_item(self, workflow: Workflow) -> WorkflowItem:
        """Return a workflow item of this thread with a new id."""
        return WorkflowItem(
            id=self.generate_id("workflow"),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            workflow=workflow,
        )

    def close_workflow(
        self, summary: CustomSummary | DurationSummary | None = None, expanded: bool = False
    ) -> ThreadItemDoneEvent:
        """Close the open workflow, which must exist, and return its done event."""
        item = self.workflow_item
        assert item is not None
        workflow = item.workflow
        summary = summary or workflow.summary
        if item.id in self._notes.tool_blocks:
            settle(item)
            summary = summary or summarize_tools(workflow)
        workflow.summary = summary or DurationSummary(duration=_seconds_since(item.created_at))
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
        # A copy, because the tool may change its item before the event is read.
        self._notes.inbox.put_nowait(HelperEvent(event.model_copy(deep=True)))


class _TurnEvents(asyncio.Queue[Any]):
    """The queue of an `AgentContext` of chatkit's class: what its helpers put there is sent in the turn."""

    def __init__(self, turn: AgentContext) -> None:
        super().__init__()
        self._turn = turn

    async def put(self, item: Any) -> None:
        """Send an event."""
        await self._turn.stream(item)


turn_context: ContextVar[AgentContext | None] = ContextVar("turn_context", default=None)
"""The context of the turn whose run the current task belongs to."""


def context_of_turn(run_context: Any) -> AgentContext | None:
    """Return that of the turn whose run has this context: the context itself, or else that of the current task."""
    return run_context if isinstance(run_context, AgentContext) else turn_context.get()


def in_turn(context: AgentContext) -> Context:
    """Return the current context variables with the turn's context among them, to start a run in."""
    variables = copy_context()
    variables.run(turn_context.set, context)
    return variables


def unfinished_workflow(items: Sequence[ThreadItem]) -> WorkflowItem | None:
    """Return the workflow that a client tool call left open, if it is the last visible item, or None."""
    item = next((item for item in reversed(items) if item.type not in BEHIND_A_WORKFLOW), None)
    return item if isinstance(item, WorkflowItem) and item.workflow.summary is None else None


def _seconds_since(moment: datetime) -> int:
    return max(0, int((datetime.now(UTC) - moment.astimezone(UTC)).total_seconds()))
