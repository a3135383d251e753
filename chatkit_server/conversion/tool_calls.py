"""Show calls of the agent's own tools and handoffs, and collect client tool calls."""

from datetime import UTC, datetime
from typing import Any

from agents import Agent
from agents.items import ToolCallItem
from chatkit.agents import ClientToolCall
from chatkit.types import ClientToolCallItem, CustomTask, ThreadItemDoneEvent

from ..agent_context import AgentContext
from ..memory import CALLS
from .open_workflow import OpenWorkflow, TaskPosition
from .shown_items import Events
from .tool_display import ToolDisplays

FAILED = "This failed."


class ToolCalls:
    """The tool calls of a run, by call id."""

    def __init__(self, context: AgentContext, workflow: OpenWorkflow, displays: ToolDisplays | None) -> None:
        self._context = context
        self._workflow = workflow
        self._displays = displays
        self._calls: list[tuple[str, str]] = []
        self._running: dict[str, tuple[TaskPosition, CustomTask]] = {}

    def start(self, item: ToolCallItem) -> Events:
        """Show a call as running. Hosted tools are shown by `HostedTools`."""
        call_id = _call_id(item.raw_item)
        if not call_id:
            return []
        name = str(item.tool_name)
        self._calls.append((name, call_id))
        if self._displays is None or _field(item.raw_item, "type") not in CALLS:
            return []
        arguments = _field(item.raw_item, "arguments") or ""
        task = self._displays.task(item.agent, name, str(arguments), item.title)
        if task is None:
            return []
        position, events = self._workflow.add(task)
        if position is not None:
            self._running[call_id] = (position, task)
        return events

    def finish(self, raw: Any) -> Events:
        """Show a call as complete or failed."""
        call_id = _call_id(raw) or ""
        position, task = self._running.pop(call_id, (None, None))
        if position is None or task is None:
            return []
        has_failed = call_id in self._context.failed_calls
        end = {"status_indicator": "none", "content": FAILED} if has_failed else {"status_indicator": "complete"}
        return self._workflow.change(position, task.model_copy(update=end))

    def hand_over(self, agent: Agent[Any]) -> Events:
        """Show a handoff to another agent."""
        if self._displays is None:
            return []
        _, events = self._workflow.add(
            CustomTask(title=f"{agent.name} takes over", icon="agent", status_indicator="complete")
        )
        return events

    def client_calls(self) -> list[ThreadItemDoneEvent]:
        """Return the client tool calls in the order of the model's calls. `turns/output.py` sends only the first."""
        order = {call_id: index for index, (_, call_id) in enumerate(self._calls)}
        calls = sorted(self._context.client_calls, key=lambda call: order.get(call.call_id, len(order)))
        sdk_call = self._context.client_tool_call
        events = [] if sdk_call is None else [self._sdk_client_call(sdk_call)]
        return [*events, *(ThreadItemDoneEvent(item=call) for call in calls)]

    def _sdk_client_call(self, call: ClientToolCall) -> ThreadItemDoneEvent:
        """Return a call that a tool made the SDK's way, with the call id of that tool (T31, T32)."""
        ids = [call_id for name, call_id in self._calls if name == call.name]
        ids = ids or [call_id for _, call_id in self._calls] or [self._context.generate_id("tool_call")]
        item = ClientToolCallItem(
            id=self._context.generate_id("tool_call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            call_id=ids[-1],
            name=call.name,
            arguments=call.arguments,
        )
        return ThreadItemDoneEvent(item=item)


def _call_id(raw: Any) -> str | None:
    call_id = _field(raw, "call_id")
    return None if call_id is None else str(call_id)


def _field(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)
