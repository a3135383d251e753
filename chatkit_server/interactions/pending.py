"""What a thread waits for: client tool outputs, answers to questions, and approvals. All of it is closed when the user
sends a message instead.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from chatkit.types import (
    ClientToolCallItem,
    SDKHiddenContextItem,
    StructuredInputAnswer,
    StructuredInputItem,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)

from chatkit_store import Approval, ApprovalDecision, PausedRun, SqlStore, new_id

from ..context import RequestContext
from .approval_card import approval_card

DECISIONS = {None: "did not decide about", "approved": "approved", "rejected": "rejected"}
NO_OUTPUT = "The page did not answer: the user continued without it."


@dataclass
class PendingInput:
    """What a thread waits for, in the order in which the agent asked. All of it follows the user's last message."""

    calls: list[ClientToolCallItem] = field(default_factory=list)
    questions: list[StructuredInputItem] = field(default_factory=list)
    runs: list[PausedRun] = field(default_factory=list)
    cards: dict[str, WidgetItem] = field(default_factory=dict)
    """All widgets after the user's last message, by id; the approval cards are among them."""
    since: Sequence[ThreadItem] = ()
    """The user's last message and all items after it."""
    position: int = 0
    """The thread's last position when this was read; `TurnStore.start` refuses a turn if it has moved since."""

    def without(self, item_id: str) -> "PendingInput":
        """Return what is pending once this call or question has its answer."""
        calls = [call for call in self.calls if call.id != item_id]
        questions = [question for question in self.questions if question.id != item_id]
        return replace(self, calls=calls, questions=questions)

    def with_decision(self, decision: ApprovalDecision) -> "PendingInput":
        """Return what is pending once this decision is made."""
        return replace(self, runs=[_with_decision(run, decision) for run in self.runs])

    @property
    def is_complete(self) -> bool:
        """Whether everything is answered and decided, so that the model can continue."""
        return not (self.calls or self.questions) and all(run.is_decided for run in self.runs)

    @property
    def run_to_resume(self) -> PausedRun | None:
        """The decided run, without its saved state; None if the model is called afresh instead."""
        return next((run for run in self.runs if run.is_decided), None)

    async def send_next_call(self) -> AsyncIterator[ThreadStreamEvent]:
        """Yield the event that makes the page run its next tool; everything else is shown already."""
        for call in self.calls[:1]:
            yield ThreadItemDoneEvent(item=call)

    def expire(self, thread: ThreadMetadata) -> tuple[list[ThreadItem], list[ThreadItem]]:
        """Return what to save when the user sends a message instead: changed items, and notes for the model."""
        changed: list[ThreadItem] = [*map(_unanswered, self.calls), *map(_skipped, self.questions)]
        notes: list[ThreadItem] = []
        for run in self.runs:
            for approval in run.approvals:
                if approval.decision != "rejected" and (card := self.cards.get(approval.item_id)) is not None:
                    changed.append(approval_card(card, approval, "expired"))
            if run.approvals:
                notes.append(_note(thread, run.approvals))
        return changed, notes


async def load_pending(
    store: SqlStore[RequestContext], thread: ThreadMetadata, context: RequestContext
) -> PendingInput:
    """Return what the thread waits for now. Raises `chatkit.store.NotFoundError` for a thread of another user."""
    recent = await store.load_since_user(thread.id, context)
    pending = PendingInput(since=recent.items, position=recent.position)
    for item in pending.since:
        match item:
            case ClientToolCallItem(status="pending"):
                pending.calls.append(item)
            case StructuredInputItem(status="pending"):
                pending.questions.append(item)
            case WidgetItem():
                pending.cards[item.id] = item
    if pending.cards or pending.calls or pending.questions:
        pending.runs = await store.approvals.waiting(thread.id, context)
    return pending


def _unanswered(call: ClientToolCallItem) -> ClientToolCallItem:
    return call.model_copy(update={"status": "completed", "output": {"error": NO_OUTPUT}})


def _skipped(question: StructuredInputItem) -> StructuredInputItem:
    skipped = question.model_copy(deep=True)
    for entry in skipped.inputs:
        entry.answer = StructuredInputAnswer(skipped=True)
    skipped.status = "skipped"
    return skipped


def _with_decision(run: PausedRun, decision: ApprovalDecision) -> PausedRun:
    approvals = [
        replace(approval, decision=decision.decision) if approval.id == decision.approval_id else approval
        for approval in run.approvals
    ]
    return replace(run, approvals=approvals)


def _note(thread: ThreadMetadata, approvals: Sequence[Approval]) -> SDKHiddenContextItem:
    """Return a hidden note such as "The user approved `pay` and did not decide about `ship`, ..."."""
    clauses = [
        f"{verb} {', '.join(_name(approval) for approval in approvals if approval.decision == decision)}"
        for decision, verb in DECISIONS.items()
        if any(approval.decision == decision for approval in approvals)
    ]
    return SDKHiddenContextItem(
        id=new_id("shcx"),
        thread_id=thread.id,
        created_at=datetime.now(UTC),
        content=f"The user {', '.join(clauses)} and continued the conversation. None of these calls was run.",
    )


def _name(approval: Approval) -> str:
    return f"`{approval.tool}`" if approval.tool else f"the question “{approval.arguments}”"
