"""A run that waits for approvals, as it is kept: the Agents SDK's `RunState` (agents 0.24) as JSON, and back (T19)."""

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
"""Where a saved run says which questions it asked; their answers go to the model when it goes on."""
REJECTED = "The user rejected this call, so it was not run. Do not try it again unless they ask for it."


@dataclass(frozen=True)
class RestoredRun:
    """A run as it stood, ready to go on; `agent` is the one that it began with."""

    agent: Agent[Any]
    state: RunState[Any, Agent[Any]]
    context: AgentContext

    def decide(self, run: PausedRun) -> None:
        """Tells the run what was decided about each of its calls."""
        decisions = {approval.call_id: approval.decision for approval in run.approvals}
        for item in self.state.get_interruptions():
            if decisions.get(call_id(item)) == "approved":
                self.state.approve(item)
            else:
                self.state.reject(item, rejection_message=REJECTED)


async def save_state(context: AgentContext, result: RunResultStreaming) -> Any:
    """The run as plain JSON, without the bytes of files. Raises what the store raises where it keeps those."""
    saved = result.to_state().to_json(context_serializer=lambda _: {ASKED_IDS: context.question_ids})
    saved["context"]["usage"] = {}  # what this turn has used is counted with this turn
    return await strip_files(saved, context.thread.id)


async def restore_state(server: InteractionHost, run: PausedRun, context: AgentContext) -> RestoredRun | None:
    """The run as it stood, with what the page and the user have answered since; None where the agent no longer has what
    it needs."""
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
        is_whole = {approval.call_id for approval in run.approvals} <= {call_id(item) for item in waiting}
        is_known = is_whole and all([await _is_known(item, wrapper) for item in waiting])
    except Exception as error:  # the SDK raises UserError, ValueError, KeyError, whatever is missing
        logger.warning("paused run %s cannot be restored\n%s", run.id, redacted_traceback(error))
        return None
    if answers:
        with contextlib.suppress(UserError):  # no model call follows that could read them
            state.add_input(answers)
    return RestoredRun(agent, state, context) if is_known else None


def call_id(item: ToolApprovalItem) -> str:
    """A hosted MCP request has an id, every other call a call id."""
    return str(field(item.raw_item, "call_id") or field(item.raw_item, "id") or "")


def field(raw: Any, name: str) -> Any:
    """A field of what the provider sent, be it a dict or an object."""
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)


async def _answers(server: InteractionHost, run: PausedRun, items: Sequence[ThreadItem]) -> list[Any]:
    """What the user has answered since to the questions that the run asked, as the model reads it."""
    asked = run.state["context"]["context"].get(ASKED_IDS, [])
    answered = [item for item in items if isinstance(item, StructuredInputItem) and item.id in asked]
    return [entry for item in answered for entry in await server.converter.to_agent_input([item])]


async def _with_files(server: InteractionHost, saved: Any, context: AgentContext) -> Any:
    saved = {**saved, "original_input": _plain(saved["original_input"])}
    files = server.files_of(context.request_context)
    turn_files.set(files)
    return await restore_files(saved, files)


def _plain(messages: Any) -> Any:
    """The input as it was. The SDK saves the text of an assistant's message as a part of one with a status, which its
    own Chat Completions converter refuses without an id."""
    return messages if isinstance(messages, str) else [_plain_message(message) for message in messages]


def _plain_message(message: Any) -> Any:
    if message.get("role") != "assistant" or "id" in message or not isinstance(message.get("content"), list):
        return message
    known = {name: value for name, value in message.items() if name != "status"}
    return {**known, "content": "".join(part["text"] for part in message["content"])}


async def _is_known(item: ToolApprovalItem, wrapper: RunContextWrapper[Any]) -> bool:
    """Whether the agent still has the tool; the SDK finds out in the middle of the run only."""
    if field(item.raw_item, "type") != "function_call":
        return True
    return item.name in {tool.name for tool in await item.agent.get_all_tools(wrapper)}
