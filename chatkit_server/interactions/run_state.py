"""Save a run that waits for approvals, as the Agents SDK's `RunState` in JSON (agents 0.24), and restore it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from agents import Agent, RunContextWrapper, RunResultStreaming, RunState
from chatkit.types import StructuredInputItem, ThreadItem, ThreadStreamEvent

from chatkit_store import PausedRun

from ..agent_context import AgentContext
from ..files.paused_run_files import restore_files, strip_files
from ..files.user_files import turn_files
from .client_tools import with_page_outputs
from .host import InteractionHost
from .saved_run import RECORDING, Json, ResumableRun, SavedRun, decide, plain_context, restore_context

ASKED_IDS = "asked"
"""Key in a saved run: the ids of the questions it asked. Their answers go to the model when it resumes."""

VALUES = "values"
"""Key in a saved run: the values of a dict that is the context of the run, which tools may have changed."""


@dataclass(frozen=True)
class RestoredRun:
    """A paused run of our own agent; `agent` is the one that it began with."""

    server: InteractionHost
    agent: Agent[Any]
    state: RunState[Any, Agent[Any]]
    context: AgentContext

    def decide(self, run: PausedRun) -> None:
        """As `ResumableRun.decide`."""
        decide(self.state, run)

    def events(self) -> AsyncIterator[ThreadStreamEvent]:
        """As `ResumableRun.events`."""
        return self.server.resume(self.agent, self.state, self.context)


async def save_state(context: AgentContext, result: RunResultStreaming | None) -> Any:
    """Return the run as JSON, with its files' bytes stored apart, and with the recording of the function that ran the
    agent. `result` is None if that function asks the user itself. Raises what the blob store raises."""
    saved: Json = {}
    if result is not None:
        saved = result.to_state().to_json(context_serializer=lambda _: {})
        saved["context"]["context"] = {ASKED_IDS: context.question_ids, VALUES: plain_context(context.run_context)}
        saved["context"]["usage"] = {}  # this turn has counted it already
    if context.recording is not None:
        saved[RECORDING] = context.recording.to_json()
    return await strip_files(saved, context.thread.id)


async def restore_state(server: InteractionHost, run: PausedRun, context: AgentContext) -> ResumableRun | None:
    """Return the run with what the page and the user have answered since, or None if the agent has changed so that the
    run cannot continue."""
    items = (await server.sql_store.load_since_user(context.thread.id, context.request_context)).items
    state = await _with_files(server, with_page_outputs(run.state, items), context)
    saved = SavedRun(run, state, await _answers(server, run, items))
    if saved.recording is not None:
        return await server.restore_recorded(saved, context)
    agent = await server.find_starting_agent(run.agent, context.request_context)
    restore_context(run.state.get("context", {}).get("context", {}).get(VALUES), context.run_context)
    state = None if agent is None else await saved.restore(agent, RunContextWrapper(context.run_context))
    return None if agent is None or state is None else RestoredRun(server, agent, state, context)


async def _answers(server: InteractionHost, run: PausedRun, items: Sequence[ThreadItem]) -> list[Any]:
    """Return the user's answers to the questions that the run asked, as model input."""
    question_ids = run.state.get("context", {}).get("context", {}).get(ASKED_IDS, [])
    questions = [item for item in items if isinstance(item, StructuredInputItem) and item.id in question_ids]
    return [entry for item in questions for entry in await server.converter.to_agent_input([item])]


async def _with_files(server: InteractionHost, saved: Any, context: AgentContext) -> Any:
    files = server.files_of(context.request_context)
    turn_files.set(files)
    return await restore_files(_simple_inputs(saved), files)


def _simple_inputs(saved: Any) -> Any:
    """Return the saved run, and all finished ones in its recording, with their input in its original form."""
    match saved:
        case {"original_input": messages}:
            saved = {**saved, "original_input": _simple_input(messages)}
    match saved:
        case {"recording": {"runs": dict() as runs} as recording}:
            return {**saved, RECORDING: {**recording, "runs": {place: _simple_run(run) for place, run in runs.items()}}}
    return saved


def _simple_run(run: Any) -> Any:
    return {**run, "state": _simple_inputs(run["state"])} if "state" in run else run


def _simple_input(messages: Any) -> Any:
    """Return the run's input in its original form. The SDK saves an assistant's message as parts with a status, which
    its own Chat Completions converter refuses without an id (agents 0.24)."""
    return messages if isinstance(messages, str) else [_simple_message(message) for message in messages]


def _simple_message(message: Any) -> Any:
    if message.get("role") != "assistant" or "id" in message or not isinstance(message.get("content"), list):
        return message
    fields = {name: value for name, value in message.items() if name != "status"}
    return {**fields, "content": "".join(part["text"] for part in message["content"])}
