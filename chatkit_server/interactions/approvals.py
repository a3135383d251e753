"""Tools that somebody has to approve: the run stops, a card asks, and the decision resumes the run, whenever and on
whichever worker it comes (trap T19). Local tools with `needs_approval` and hosted MCP servers alike.

What is kept is the run as the Agents SDK writes it (`RunState`), in the database only: the card holds an id, no more.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agents import Agent, RunContextWrapper, RunResultStreaming, RunState, ToolApprovalItem, UserError
from chatkit.actions import Action
from chatkit.types import (
    StructuredInputItem,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)

from store import Approval, Choice, NewApproval, PausedRun, SqlStore, new_id

from ..agent_context import AgentContext
from ..causes import describe_cause
from ..context import RequestContext
from ..errors import ApprovalOver, InvalidItem, InvalidParams
from ..files.model_input import shown_files
from ..files.paused_files import bring_back, put_away
from .approval_card import ACTION, approval_card, approval_widget, can_be_shown
from .client_tools import with_page_outputs
from .waiting import Waiting, load_waiting

if TYPE_CHECKING:
    from ..server import ChatServer

logger = logging.getLogger(__name__)

ASKED = "asked"
"""Where a saved run says which questions it asked; their answers go to the model when it goes on."""

CHANGED = "This can no longer be run: the assistant has changed since it asked. Please ask again."
REJECTED = "The user rejected this call, so it was not run. Do not try it again unless they ask for it."
State = RunState[Any, Agent[Any]]


def is_approval(action: Action[str, Any]) -> bool:
    """Whether the action is a button of an approval card."""
    return action.type == ACTION


async def ask_approvals(context: AgentContext, result: RunResultStreaming) -> AsyncIterator[ThreadStreamEvent]:
    """Keeps a run that ended because its tools need an approval, and shows a card for each of their calls."""
    store = context.store
    if not isinstance(store, SqlStore):
        logger.error("the run waits for an approval, but its store cannot keep it")
        return
    calls = [_call(context, item) for item in result.interruptions]
    thread = context.thread
    saved = result.to_state().to_json(context_serializer=lambda _: {ASKED: context.asked})
    state = await put_away(saved, thread.id)
    state["context"]["usage"] = {}  # what this turn has used is counted with this turn
    await store.approvals.pause(thread.id, new_id("run"), context.starting_agent, state, calls, context.request_context)
    for call in calls:
        blank = WidgetItem(
            id=call.item_id,
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            widget=approval_widget(call, "waiting"),
        )
        yield ThreadItemDoneEvent(item=approval_card(blank, call, "waiting"))


@dataclass(frozen=True)
class AcceptedDecision:
    """A click on a card's button. Where the agent has changed, `choice` is None: nothing is decided, nothing runs."""

    server: "ChatServer"
    thread: ThreadMetadata
    context: RequestContext
    approval: Approval
    card: WidgetItem
    """The card as it is after the click."""
    choice: Choice | None
    rest: Waiting
    """What the thread waits for then."""

    async def carry_out(self) -> AsyncIterator[ThreadStreamEvent]:
        """What happens when the decision is made: the run goes on if nothing else is open."""
        if self.choice is None:
            await self.server.sql_store.approvals.expire(self.thread.id, self.context)
            raise ApprovalOver(CHANGED)
        if self.rest.is_over and self.rest.decided_run is not None:
            async for event in go_on(self.server, self.thread, self.rest.decided_run, self.context):
                yield event


async def go_on(
    server: "ChatServer", thread: ThreadMetadata, run_id: str, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Resumes a run when all is answered that its thread waited for. Raises `ApprovalOver` where the agent has changed
    since it asked."""
    run = await server.sql_store.approvals.take(thread.id, run_id, context)
    if run is None:
        return
    restored = await _restore(server, run, AgentContext(thread=thread, store=server.store, request_context=context))
    if restored is None:
        raise ApprovalOver(CHANGED)
    _apply(restored.state, run)
    async for event in server.resume(restored.agent, restored.state, restored.context):
        yield event


@dataclass(frozen=True)
class Restored:
    """A run as it stood, ready to go on; `agent` is the one that it began with."""

    agent: Agent[Any]
    state: State
    context: AgentContext


async def accept_decision(
    server: "ChatServer",
    thread: ThreadMetadata,
    action: Action[str, Any],
    item_id: str | None,
    context: RequestContext,
) -> AcceptedDecision:
    """Checks a click; writes nothing.

    Raises `InvalidParams`, `InvalidItem`, `NotFoundError`, and `ApprovalOver` where nothing waits for it any more.
    """
    choice = _choice(action)
    run = await server.sql_store.approvals.load(thread.id, choice.approval_id, context)
    approval = next(approval for approval in run.approvals if approval.id == choice.approval_id)
    _refuse_if_over(run, approval)
    if choice.decision == "approved" and not can_be_shown(approval):
        raise InvalidParams("This call is too long to be shown, so it can only be rejected.")
    card = await server.store.load_item(thread.id, approval.item_id, context)
    if not isinstance(card, WidgetItem) or card.id != item_id:
        raise InvalidItem("An approval can only come from its card.")
    waiting = await load_waiting(server.sql_store, thread, context)
    if await _restore(server, run, AgentContext(thread=thread, store=server.store, request_context=context)) is None:
        changed = approval_card(card, approval, "changed")
        return AcceptedDecision(server, thread, context, approval, changed, None, waiting)
    decided = approval_card(card, approval, choice.decision)
    return AcceptedDecision(server, thread, context, approval, decided, choice, waiting.decided(choice))


def _choice(action: Action[str, Any]) -> Choice:
    match action.payload:
        case {"approval_id": str() as approval_id, "decision": "approved" | "rejected" as decision}:
            return Choice(approval_id, decision)
    raise InvalidParams(f"The action “{ACTION}” needs `approval_id` and `decision`.")


async def _restore(server: "ChatServer", run: PausedRun, context: AgentContext) -> Restored | None:
    """The run as it stood; None where the agent no longer has what it needs."""
    agent = await server.find_starting_agent(run.agent, context.request_context)
    if agent is None:
        return None
    wrapper = RunContextWrapper(context)
    items = (await server.sql_store.load_since_user(context.thread.id, context.request_context)).items
    saved = await _saved(server, run, items, context)
    answers = await _answers(server, run, items)
    try:
        state: State = await RunState.from_json(agent, saved, context_override=wrapper)
        waiting = state.get_interruptions()
        is_whole = {approval.call_id for approval in run.approvals} <= {_call_id(item) for item in waiting}
        is_known = is_whole and all([await _is_known(item, wrapper) for item in waiting])
    except Exception as error:  # the SDK raises UserError, ValueError, KeyError, whatever is missing
        logger.warning("paused run %s cannot be restored\n%s", run.id, describe_cause(error))
        return None
    if answers:
        with contextlib.suppress(UserError):  # no model call follows that could read them
            state.add_input(answers)
    return Restored(agent, state, context) if is_known else None


async def _answers(server: "ChatServer", run: PausedRun, items: Sequence[ThreadItem]) -> list[Any]:
    """What the user has answered since to the questions that the run asked, as the model reads it."""
    asked = run.state["context"]["context"].get(ASKED, [])
    answered = [item for item in items if isinstance(item, StructuredInputItem) and item.id in asked]
    return [entry for item in answered for entry in await server.converter.to_agent_input([item])]


async def _saved(server: "ChatServer", run: PausedRun, items: Sequence[ThreadItem], context: AgentContext) -> Any:
    """The run's JSON, with what the page has answered since, and with the files that are kept apart from it."""
    saved = with_page_outputs(run.state, items)
    saved = {**saved, "original_input": _plain(saved["original_input"])}
    if server.files_of is None:
        return saved
    files = server.files_of(context.request_context)
    shown_files.set(files)
    return await bring_back(saved, files)


def _plain(messages: Any) -> Any:
    """The input as it was. The SDK (agents 0.24) saves the text of an assistant's message as a part of one with a
    status, which its own Chat Completions converter refuses without an id."""
    return messages if isinstance(messages, str) else [_plain_message(message) for message in messages]


def _plain_message(message: Any) -> Any:
    if message.get("role") != "assistant" or "id" in message or not isinstance(message.get("content"), list):
        return message
    known = {name: value for name, value in message.items() if name != "status"}
    return {**known, "content": "".join(part["text"] for part in message["content"])}


async def _is_known(item: ToolApprovalItem, wrapper: RunContextWrapper[Any]) -> bool:
    """Whether the agent still has the tool; the SDK finds out in the middle of the run only (agents 0.24)."""
    if _field(item.raw_item, "type") != "function_call":
        return True
    return item.name in {tool.name for tool in await item.agent.get_all_tools(wrapper)}


def _apply(state: State, run: PausedRun) -> None:
    """Tells the run what was decided about each of its calls."""
    decisions = {approval.call_id: approval.decision for approval in run.approvals}
    for item in state.get_interruptions():
        if decisions.get(_call_id(item)) == "approved":
            state.approve(item)
        else:
            state.reject(item, rejection_message=REJECTED)


def _refuse_if_over(run: PausedRun, approval: Approval) -> None:
    if approval.decision is not None:
        raise ApprovalOver(f"This was decided already: it was {approval.decision}.")
    if run.status != "waiting":
        raise ApprovalOver("This is no longer waiting: the conversation went on without a decision.")


def _call(context: AgentContext, item: ToolApprovalItem) -> NewApproval:
    server = _field(item.raw_item, "server_label")
    name = item.qualified_name or item.name or "a tool"
    return NewApproval(
        id=new_id("apr"),
        item_id=context.generate_id("message"),
        call_id=_call_id(item),
        tool=f"{server}: {name}" if server else name,
        arguments=item.arguments or "{}",
    )


def _call_id(item: ToolApprovalItem) -> str:
    """A hosted MCP request has an id, every other call a call id."""
    return str(_field(item.raw_item, "call_id") or _field(item.raw_item, "id") or "")


def _field(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)
