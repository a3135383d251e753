"""Save a run that waits for approvals, as the Agents SDK's `RunState` in JSON (agents 0.24), and restore it."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents import Agent, RunContextWrapper, RunResultStreaming, RunState, ToolApprovalItem, UserError
from chatkit.types import StructuredInputItem, ThreadItem

from chatkit_store import PausedRun

from ..agent_context import AgentContext
from ..errors.log_format import redacted_traceback
from ..files.paused_run_files import restore_files, strip_files
from ..files.user_files import turn_files
from .client_tools import with_page_outputs
from .host import InteractionHost

logger = logging.getLogger(__name__)

ASKED_IDS = "asked"
"""Key in a saved run: the ids of the questions it asked. Their answers go to the model when it resumes."""
REJECTED = "The user rejected this call, so it was not run. Do not try it again unless they ask for it."


@dataclass(frozen=True)
class RestoredRun:
    """A paused run that can be resumed; `agent` is the one that it began with."""

    agent: Agent[Any]
    state: RunState[Any, Agent[Any]]
    context: AgentContext

    def decide(self, run: PausedRun) -> None:
        """Approve or reject each call of the run as the user decided."""
        decisions = {approval.call_id: approval.decision for approval in run.approvals}
        for item in self.state.get_interruptions():
            if decisions.get(call_id(item)) == "approved":
                self.state.approve(item)
            else:
                self.state.reject(item, rejection_message=REJECTED)


async def save_state(context: AgentContext, result: RunResultStreaming) -> Any:
    """Return the run as JSON, with its files' bytes stored apart. Raises what the blob store raises."""
    saved = result.to_state().to_json(context_serializer=lambda _: {ASKED_IDS: context.question_ids})
    saved["context"]["usage"] = {}  # this turn has counted it already
    return await strip_files(saved, context.thread.id)


async def restore_state(server: InteractionHost, run: PausedRun, context: AgentContext) -> RestoredRun | None:
    """Return the run with what the page and the user have answered since, or None if the agent has changed so that the
    run cannot continue."""
    agent = await server.find_starting_agent(run.agent, context.request_context)
    if agent is None:
        return None
    wrapper = RunContextWrapper(context)
    items = (await server.sql_store.load_since_user(context.thread.id, context.request_context)).items
    saved = await _with_files(server, with_page_outputs(run.state, items), context)
    answers = await _answers(server, run, items)
    try:
        state: RunState[Any, Agent[Any]] = await RunState.from_json(agent, saved, context_override=wrapper)
        waiting = state.get_interruptions()
        has_all_calls = {approval.call_id for approval in run.approvals} <= {call_id(item) for item in waiting}
        can_continue = has_all_calls and all([await _has_tool(item, wrapper) for item in waiting])
    except Exception as error:  # the SDK raises UserError, ValueError or KeyError, depending on what is missing
        logger.warning("cannot restore the paused run %s\n%s", run.id, redacted_traceback(error))
        return None
    if answers:
        with contextlib.suppress(UserError):  # raised if no model call follows that could read them
            state.add_input(answers)
    return RestoredRun(agent, state, context) if can_continue else None


def call_id(item: ToolApprovalItem) -> str:
    """Return the id of a call: `id` for a hosted MCP request, `call_id` for any other."""
    return str(raw_field(item.raw_item, "call_id") or raw_field(item.raw_item, "id") or "")


def raw_field(raw: Any, name: str) -> Any:
    """Return a field of a raw item, which is a dict or an object."""
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)


async def _answers(server: InteractionHost, run: PausedRun, items: Sequence[ThreadItem]) -> list[Any]:
    """Return the user's answers to the questions that the run asked, as model input."""
    question_ids = run.state["context"]["context"].get(ASKED_IDS, [])
    questions = [item for item in items if isinstance(item, StructuredInputItem) and item.id in question_ids]
    return [entry for item in questions for entry in await server.converter.to_agent_input([item])]


async def _with_files(server: InteractionHost, saved: Any, context: AgentContext) -> Any:
    saved = {**saved, "original_input": _simple_input(saved["original_input"])}
    files = server.files_of(context.request_context)
    turn_files.set(files)
    return await restore_files(saved, files)


def _simple_input(messages: Any) -> Any:
    """Return the run's input in its original form. The SDK saves an assistant's message as parts with a status, which
    its own Chat Completions converter refuses without an id (agents 0.24)."""
    return messages if isinstance(messages, str) else [_simple_message(message) for message in messages]


def _simple_message(message: Any) -> Any:
    if message.get("role") != "assistant" or "id" in message or not isinstance(message.get("content"), list):
        return message
    fields = {name: value for name, value in message.items() if name != "status"}
    return {**fields, "content": "".join(part["text"] for part in message["content"])}


async def _has_tool(item: ToolApprovalItem, wrapper: RunContextWrapper[Any]) -> bool:
    """Return whether the agent still has the tool. The SDK itself would notice only in the middle of the run."""
    if raw_field(item.raw_item, "type") != "function_call":
        return True
    return item.name in {tool.name for tool in await item.agent.get_all_tools(wrapper)}
