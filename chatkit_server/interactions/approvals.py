"""Tools that need an approval: the run stops, a card asks, and the decision resumes the run, at any later time and on
any worker. Covers local tools with `needs_approval` and hosted MCP servers.

The Agents SDK's `RunState` is kept in the database; the card's buttons carry only the approval's id and the
decision.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents import RunResultStreaming, ToolApprovalItem
from chatkit.actions import Action
from chatkit.types import ThreadItemDoneEvent, ThreadItemReplacedEvent, ThreadMetadata, ThreadStreamEvent, WidgetItem

from chatkit_store import Approval, ApprovalDecision, NewApproval, PausedRun, SqlStore, new_id

from ..agent_context import AgentContext
from ..context import RequestContext
from ..errors.http import ApprovalClosed, AssistantChanged, InvalidItem, InvalidParams
from .approval_card import ACTION, QUESTION, approval_card, approval_widget, can_be_shown
from .host import InteractionHost
from .pending import PendingInput, load_pending
from .run_state import restore_state, save_state
from .saved_run import ResumableRun, call_id, raw_field

logger = logging.getLogger(__name__)


def is_approval(action: Action[str, Any]) -> bool:
    """Return whether the action comes from a button of an approval card."""
    return action.type == ACTION


async def ask_approvals(context: AgentContext, result: RunResultStreaming) -> AsyncIterator[ThreadStreamEvent]:
    """Save a run that stopped because tools need an approval, and yield a card for each of the calls."""
    calls = [_call(context, item) for item in result.interruptions]
    async for event in _ask(context, result, calls):
        yield event


async def ask_question(context: AgentContext, message: str) -> AsyncIterator[ThreadStreamEvent]:
    """Save the recording of a function that asks the user between two runs, and yield the card."""
    item_id = context.generate_id("message")
    call = NewApproval(id=new_id("apr"), item_id=item_id, call_id=QUESTION, tool="", arguments=message)
    async for event in _ask(context, None, [call]):
        yield event


async def wait_for_answers(context: AgentContext, result: RunResultStreaming) -> None:
    """Save a run of a function's that ended because the page or the user must answer; the answer resumes it.

    A run of our own needs no state for that: its answer calls the model with the thread.
    """
    if context.recording is not None and (context.client_calls or context.question_ids) and not result.interruptions:
        await _pause(context, result, [])


async def _ask(
    context: AgentContext, result: RunResultStreaming | None, calls: Sequence[NewApproval]
) -> AsyncIterator[ThreadStreamEvent]:
    if not await _pause(context, result, calls):
        return
    for call in calls:
        blank = WidgetItem(
            id=call.item_id,
            thread_id=context.thread.id,
            created_at=datetime.now(UTC),
            widget=approval_widget(call, "waiting"),
        )
        yield ThreadItemDoneEvent(item=approval_card(blank, call, "waiting"))


async def _pause(context: AgentContext, result: RunResultStreaming | None, calls: Sequence[NewApproval]) -> bool:
    store, thread = context.store, context.thread
    if not isinstance(store, SqlStore):
        logger.error("a run needs an approval, but its store is not a SqlStore and cannot save it")
        return False
    state = await save_state(context, result)
    await store.approvals.pause(thread.id, new_id("run"), context.starting_agent, state, calls, context.request_context)
    return True


@dataclass(frozen=True)
class AcceptedDecisions:
    """Decisions about calls that wait. If the agent has changed, nothing is decided and nothing runs."""

    server: InteractionHost
    thread: ThreadMetadata
    context: RequestContext
    cards: list[WidgetItem]
    """The cards after the decisions."""
    decisions: list[ApprovalDecision]
    pending: PendingInput
    """What the thread still waits for after the decisions."""
    restored: ResumableRun | None

    @property
    def has_changed(self) -> bool:
        """Whether the agent has changed since it asked."""
        return not self.decisions

    async def run(self) -> AsyncIterator[ThreadStreamEvent]:
        """Resume the run if nothing else is pending. Raises `AssistantChanged` if the agent has changed."""
        if self.has_changed:
            await self.server.sql_store.approvals.expire(self.thread.id, self.context)
            raise AssistantChanged
        if self.pending.is_complete and (run := self.pending.run_to_resume) is not None:
            async for event in resume_run(self.server, self.thread, run, self.context, self.restored):
                yield event


async def resume_run(
    server: InteractionHost,
    thread: ThreadMetadata,
    run: PausedRun,
    context: RequestContext,
    restored: ResumableRun | None = None,
) -> AsyncIterator[ThreadStreamEvent]:
    """Resume a decided run. `restored` is the run's state if it has been restored already.

    The paused run leaves the store at the last moment: after an earlier failure it is still waiting, and the user's
    next message expires it. Raises `AssistantChanged` if the agent has changed since it asked.
    """
    store = server.sql_store.approvals
    if restored is None:
        saved = await store.load_run(thread.id, run.id, context)
        if saved.status != "waiting":
            return
        agent_context = await server.open_context(thread, context)
        restored = await restore_state(server, saved, agent_context)
        if restored is None:
            raise AssistantChanged
    restored.decide(run)
    if not await store.take(thread.id, run.id, context):
        return
    try:
        async for event in restored.events():
            yield event
    except AssistantChanged:
        for approval in run.approvals:
            card = await server.store.load_item(thread.id, approval.item_id, context)
            if isinstance(card, WidgetItem):
                yield ThreadItemReplacedEvent(item=approval_card(card, approval, "changed"))
        raise


async def accept_click(
    server: InteractionHost,
    thread: ThreadMetadata,
    action: Action[str, Any],
    item_id: str | None,
    context: RequestContext,
) -> AcceptedDecisions:
    """Check a click on a card's button; write nothing. Raises as `accept_decisions`."""
    decision = _decision(action)
    pending = await load_pending(server.sql_store, thread, context)
    return await accept_decisions(server, thread, [decision], pending, context, card_id=item_id or "")


async def accept_decisions(
    server: InteractionHost,
    thread: ThreadMetadata,
    decisions: Sequence[ApprovalDecision],
    pending: PendingInput,
    context: RequestContext,
    *,
    card_id: str | None = None,
) -> AcceptedDecisions:
    """Check decisions about different calls; write nothing. `card_id` is the card that was clicked, if one was.

    Raises `InvalidParams`, `InvalidItem`, `NotFoundError`, and `ApprovalClosed` if nothing waits for a decision.
    """
    runs: dict[str, PausedRun] = {}
    decided: list[tuple[WidgetItem, Approval, ApprovalDecision]] = []
    for decision in decisions:
        run = await server.sql_store.approvals.load(thread.id, decision.approval_id, context)
        approval = next(approval for approval in run.approvals if approval.id == decision.approval_id)
        _refuse_if_closed(run, approval)
        if decision.decision == "approved" and not can_be_shown(approval):
            raise InvalidParams("This call is too long to show, so it can only be rejected.")
        card = await server.store.load_item(thread.id, approval.item_id, context)
        if not isinstance(card, WidgetItem) or (card_id is not None and card.id != card_id):
            raise InvalidItem("An approval can only come from its card.")
        runs[run.id] = run
        decided.append((card, approval, decision))
        pending = pending.with_decision(decision)
    restored = [await restore_state(server, run, await server.open_context(thread, context)) for run in runs.values()]
    if None in restored:
        cards = [approval_card(card, approval, "changed") for card, approval, _ in decided]
        return AcceptedDecisions(server, thread, context, cards, [], pending, restored=None)
    cards = [approval_card(card, approval, decision.decision) for card, approval, decision in decided]
    return AcceptedDecisions(
        server, thread, context, cards, list(decisions), pending, restored[0] if len(runs) == 1 else None
    )


def _decision(action: Action[str, Any]) -> ApprovalDecision:
    match action.payload:
        case {"approval_id": str() as approval_id, "decision": "approved" | "rejected" as decision}:
            return ApprovalDecision(approval_id, decision)
    raise InvalidParams(f"The action “{ACTION}” needs `approval_id` and `decision`.")


def _refuse_if_closed(run: PausedRun, approval: Approval) -> None:
    if approval.decision is not None:
        raise ApprovalClosed(f"This has already been {approval.decision}.")
    if run.status != "waiting":
        raise ApprovalClosed("This is no longer waiting: the conversation continued without a decision.")


def _call(context: AgentContext, item: ToolApprovalItem) -> NewApproval:
    server = raw_field(item.raw_item, "server_label")
    name = item.qualified_name or item.name or "a tool"
    return NewApproval(
        id=new_id("apr"),
        item_id=context.generate_id("message"),
        call_id=call_id(item),
        tool=f"{server}: {name}" if server else name,
        arguments=item.arguments or "{}",
    )
