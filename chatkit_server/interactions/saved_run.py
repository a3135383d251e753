"""A paused run as it was saved, and what resumes it. The Agents SDK's `RunState` in JSON (agents 0.24)."""

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents import Agent, RunContextWrapper, RunState, ToolApprovalItem, UserError
from chatkit.types import ThreadStreamEvent

from chatkit_store import PausedRun

from ..errors.log_format import redacted_traceback

logger = logging.getLogger(__name__)

Json = dict[str, Any]

RECORDING = "recording"
"""Key in a saved run: what the function did that ran the agent, see `recording/`."""
REJECTED = "The user rejected this call, so it was not run. Do not try it again unless they ask for it."


class ResumableRun(Protocol):
    """A paused run that can be resumed."""

    def decide(self, run: PausedRun) -> None:
        """Approve or reject each call of the run as the user decided."""

    def events(self) -> AsyncIterator[ThreadStreamEvent]:
        """Resume the run and yield its events. Raises `AssistantChanged` if that shows only now."""


@dataclass
class SavedRun:
    """The saved state of a paused run, with its files and with what the page and the user have answered since."""

    run: PausedRun
    state: Json
    answers: Sequence[Any] = ()
    """The answers to the questions of the run, as model input."""
    decisions: PausedRun | None = None

    @property
    def recording(self) -> Json | None:
        """What the function did that ran the agent; None for a run of our own."""
        return self.state.get(RECORDING)

    @property
    def has_run(self) -> bool:
        """Whether there is a run to resume. Otherwise a function asked the user between two runs."""
        return "current_agent" in self.state

    def decide(self, run: PausedRun) -> None:
        """Take the decisions for the state that `restore` returns."""
        self.decisions = run

    async def restore(self, agent: Agent[Any], wrapper: RunContextWrapper[Any]) -> RunState[Any, Agent[Any]] | None:
        """Return the state, or None if the agent has changed so that the run cannot continue."""
        saved = {name: value for name, value in self.state.items() if name != RECORDING}
        try:
            state: RunState[Any, Agent[Any]] = await RunState.from_json(agent, saved, context_override=wrapper)
            waiting = state.get_interruptions()
            has_all_calls = {approval.call_id for approval in self.run.approvals} <= {call_id(item) for item in waiting}
            can_continue = has_all_calls and all([await _has_tool(item, wrapper) for item in waiting])
        except Exception as error:  # the SDK raises UserError, ValueError or KeyError, depending on what is missing
            logger.warning("cannot restore the paused run %s\n%s", self.run.id, redacted_traceback(error))
            return None
        if self.answers:
            with contextlib.suppress(UserError):  # raised if no model call follows that could read them
                state.add_input(list(self.answers))
        if self.decisions is not None:
            decide(state, self.decisions)
        return state if can_continue else None


def decide(state: RunState[Any, Agent[Any]], run: PausedRun) -> None:
    """Approve or reject each call of the run as the user decided."""
    decisions = {approval.call_id: approval.decision for approval in run.approvals}
    for item in state.get_interruptions():
        if decisions.get(call_id(item)) == "approved":
            state.approve(item)
        else:
            state.reject(item, rejection_message=REJECTED)


def plain_context(context: Any) -> Json:
    """Return what of a run's context is saved: a dict of plain values, or nothing."""
    if not isinstance(context, Mapping):
        return {}
    try:
        json.dumps(plain := dict(context))
    except (TypeError, ValueError):
        return {}
    return plain


def restore_context(values: Any, context: Any) -> None:
    """Put the values of a saved context into the dict that is the context now."""
    if isinstance(context, MutableMapping) and isinstance(values, Mapping):
        context.update(values)


def call_id(item: ToolApprovalItem) -> str:
    """Return the id of a call: `id` for a hosted MCP request, `call_id` for any other."""
    return str(raw_field(item.raw_item, "call_id") or raw_field(item.raw_item, "id") or "")


def raw_field(raw: Any, name: str) -> Any:
    """Return a field of a raw item, which is a dict or an object."""
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)


async def _has_tool(item: ToolApprovalItem, wrapper: RunContextWrapper[Any]) -> bool:
    """Return whether the agent still has the tool. The SDK itself would notice only in the middle of the run."""
    if raw_field(item.raw_item, "type") != "function_call":
        return True
    return item.name in {tool.name for tool in await item.agent.get_all_tools(wrapper)}
