"""Show calls of the agent's own tools and handoffs, and collect client tool calls."""

import json
from datetime import UTC, datetime
from typing import Any

from agents import Agent, Handoff
from agents.items import ToolCallItem
from chatkit.agents import ClientToolCall
from chatkit.types import ClientToolCallItem, CustomTask, ThreadItemDoneEvent

from ..agent_context import AgentContext
from ..events.workflow_summary import FAILED, HANDOFF_ICON
from ..memory import CALLS, Transcript
from .open_workflow import OpenWorkflow, TaskPosition
from .shown_items import Events
from .tool_display import ToolDisplays

HANDED_OVER = '{{"assistant": {agent}}}'
"""The SDK's output of a handoff."""
REMOVED = "The call succeeded or failed; its output was removed at the handoff that followed."


class ToolCalls:
    """The tool calls of a run, by call id."""

    def __init__(self, context: AgentContext, workflow: OpenWorkflow, displays: ToolDisplays | None) -> None:
        self._context = context
        self._workflow = workflow
        self._displays = displays
        self._calls: list[tuple[str, str]] = []
        self._running: dict[str, tuple[TaskPosition, CustomTask]] = {}
        self._shown_handoff: Agent[Any] | None = None

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

    def fail_running(self) -> Events:
        """Show the running calls that have failed, when their failure ends the run."""
        failed_ids = [call_id for call_id in self._running if call_id in self._context.failed_calls]
        return [event for call_id in failed_ids for event in self.finish({"call_id": call_id})]

    def hand_over(self, agent: Agent[Any]) -> Events:
        """Show a handoff to another agent."""
        self._shown_handoff = agent
        if self._displays is None:
            return []
        _, events = self._workflow.add(
            CustomTask(title=f"{agent.name} takes over", icon=HANDOFF_ICON, status_indicator="complete")
        )
        return events

    def take_over(self, agent: Agent[Any], transcript: Transcript) -> Events:
        """Complete the calls before a handoff to `agent`, and show it, if the handoff's filter removed its events.

        The SDK sends no event for an output that an `input_filter` removes (agents 0.24). Without an output, the model
        would read later that the call was interrupted.
        """
        previous, shown = transcript.agent, self._shown_handoff
        self._shown_handoff = None
        if previous is None or previous is agent:
            return []
        events: Events = []
        handoff_names = _handoff_names(previous)
        for call in transcript.open_calls():
            is_handoff = call["name"] in handoff_names
            output = HANDED_OVER.format(agent=json.dumps(agent.name)) if is_handoff else REMOVED
            transcript.add_item({"type": f"{call['type']}_output", "call_id": call["call_id"], "output": output})
            events += self.finish(call)
        return events if shown is agent else [*events, *self.hand_over(agent)]

    def client_calls(self) -> list[ThreadItemDoneEvent]:
        """Return the client tool calls in the order of the model's calls. `turns/output.py` sends only the first."""
        order = {call_id: index for index, (_, call_id) in enumerate(self._calls)}
        calls = sorted(self._context.client_calls, key=lambda call: order.get(call.call_id, len(order)))
        sdk_call = self._context.page_call
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


def _handoff_names(agent: Agent[Any]) -> set[str]:
    return {
        target.tool_name if isinstance(target, Handoff) else Handoff.default_tool_name(target)
        for target in agent.handoffs
    }


def _call_id(raw: Any) -> str | None:
    call_id = _field(raw, "call_id")
    return None if call_id is None else str(call_id)


def _field(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)
