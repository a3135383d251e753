"""Tools that somebody has to approve: the run stops, a card asks, and the decision resumes the run, whenever and on
whichever worker it comes (trap T19). Local tools with `needs_approval` and hosted MCP servers alike.

What is kept is the run as the Agents SDK writes it (`RunState`), in the database only: the card holds an id, no more.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents import RunResultStreaming, ToolApprovalItem
from chatkit.actions import Action
from chatkit.types import ThreadItemDoneEvent, ThreadMetadata, ThreadStreamEvent, WidgetItem

from chatkit_store import Approval, Choice, NewApproval, PausedRun, SqlStore, new_id

from ..agent_context import AgentContext
from ..context import RequestContext
from ..errors.http import ApprovalClosed, InvalidItem, InvalidParams
from .approval_card import ACTION, approval_card, approval_widget, can_be_shown
from .host import InteractionHost
from .pending import PendingInput, load_pending
from .run_state import RestoredRun, call_id, field, restore_state, save_state

logger = logging.getLogger(__name__)

CHANGED = "This can no longer be run: the assistant has changed since it asked. Please ask again."


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
    state = await save_state(context, result)
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

    server: InteractionHost
    thread: ThreadMetadata
    context: RequestContext
    card: WidgetItem
    """The card as it is after the click."""
    choice: Choice | None
    pending: PendingInput
    """What the thread waits for then."""
    restored: RestoredRun | None

    async def run(self) -> AsyncIterator[ThreadStreamEvent]:
        """What happens when the decision is made: the run goes on if nothing else is open."""
        if self.choice is None:
            await self.server.sql_store.approvals.expire(self.thread.id, self.context)
            raise ApprovalClosed(CHANGED)
        if self.pending.is_complete and self.pending.run_to_resume is not None:
            events = resume_run(self.server, self.thread, self.pending.run_to_resume, self.context, self.restored)
            async for event in events:
                yield event


async def resume_run(
    server: InteractionHost,
    thread: ThreadMetadata,
    run: PausedRun,
    context: RequestContext,
    restored: RestoredRun | None = None,
) -> AsyncIterator[ThreadStreamEvent]:
    """Resumes a decided run when all is answered that its thread waited for; `restored` is it, where that was done
    already.

    It is taken at the last moment: what fails before leaves it waiting, and the model is told that it did not run.
    Raises `ApprovalClosed` where the agent has changed since it asked.
    """
    store = server.sql_store.approvals
    if restored is None:
        whole = await store.load_run(thread.id, run.id, context)
        if whole.status != "waiting":
            return
        own = AgentContext(thread=thread, store=server.store, request_context=context)
        restored = await restore_state(server, whole, own)
        if restored is None:
            raise ApprovalClosed(CHANGED)
    restored.decide(run)
    if await store.take(thread.id, run.id, context):
        async for event in server.resume(restored.agent, restored.state, restored.context):
            yield event


async def accept_decision(
    server: InteractionHost,
    thread: ThreadMetadata,
    action: Action[str, Any],
    item_id: str | None,
    context: RequestContext,
) -> AcceptedDecision:
    """Checks a click; writes nothing.

    Raises `InvalidParams`, `InvalidItem`, `NotFoundError`, and `ApprovalClosed` where nothing waits for it any more.
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
    waiting = await load_pending(server.sql_store, thread, context)
    own = AgentContext(thread=thread, store=server.store, request_context=context)
    restored = await restore_state(server, run, own)
    if restored is None:
        return AcceptedDecision(
            server,
            thread,
            context,
            approval_card(card, approval, "changed"),
            choice=None,
            pending=waiting,
            restored=None,
        )
    decided = approval_card(card, approval, choice.decision)
    return AcceptedDecision(server, thread, context, decided, choice, waiting.decided(choice), restored)


def _choice(action: Action[str, Any]) -> Choice:
    match action.payload:
        case {"approval_id": str() as approval_id, "decision": "approved" | "rejected" as decision}:
            return Choice(approval_id, decision)
    raise InvalidParams(f"The action “{ACTION}” needs `approval_id` and `decision`.")


def _refuse_if_over(run: PausedRun, approval: Approval) -> None:
    if approval.decision is not None:
        raise ApprovalClosed(f"This was decided already: it was {approval.decision}.")
    if run.status != "waiting":
        raise ApprovalClosed("This is no longer waiting: the conversation went on without a decision.")


def _call(context: AgentContext, item: ToolApprovalItem) -> NewApproval:
    server = field(item.raw_item, "server_label")
    name = item.qualified_name or item.name or "a tool"
    return NewApproval(
        id=new_id("apr"),
        item_id=context.generate_id("message"),
        call_id=call_id(item),
        tool=f"{server}: {name}" if server else name,
        arguments=item.arguments or "{}",
    )
