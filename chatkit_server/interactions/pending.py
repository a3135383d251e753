"""What a thread waits for: its page's tools, answers to questions, approvals. And what becomes of it when the user
speaks instead.
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

from chatkit_store import Approval, Choice, PausedRun, SqlStore, new_id

from ..context import RequestContext
from .approval_card import approval_card

DECISIONS = {None: "did not decide about", "approved": "approved", "rejected": "rejected"}
NO_OUTPUT = "The page did not answer: the user went on without it."


@dataclass
class PendingInput:
    """In the order in which it was asked for; all of it came after the last message of the user's."""

    calls: list[ClientToolCallItem] = field(default_factory=list)
    questions: list[StructuredInputItem] = field(default_factory=list)
    runs: list[PausedRun] = field(default_factory=list)
    cards: dict[str, WidgetItem] = field(default_factory=dict)
    since: Sequence[ThreadItem] = ()
    """The last message of the user's and all that followed it."""
    position: int = 0
    """The thread's last position when this was read, for `TurnStore.start`: it must not have moved meanwhile."""

    def without(self, item_id: str) -> "PendingInput":
        """What is left when this one has its answer."""
        calls = [call for call in self.calls if call.id != item_id]
        questions = [question for question in self.questions if question.id != item_id]
        return replace(self, calls=calls, questions=questions)

    def decided(self, choice: Choice) -> "PendingInput":
        """What is left when this decision is made."""
        return replace(self, runs=[_decided(run, choice) for run in self.runs])

    @property
    def is_complete(self) -> bool:
        """Whether the model has all that it asked for."""
        return not (self.calls or self.questions) and all(run.is_decided for run in self.runs)

    @property
    def run_to_resume(self) -> PausedRun | None:
        """The run that goes on when all is answered, without its state; None where the model is asked anew."""
        return next((run for run in self.runs if run.is_decided), None)

    async def send_next_call(self) -> AsyncIterator[ThreadStreamEvent]:
        """Has the page run its next tool; everything else is shown already."""
        for call in self.calls[:1]:
            yield ThreadItemDoneEvent(item=call)

    def expired(self, thread: ThreadMetadata) -> tuple[list[ThreadItem], list[ThreadItem]]:
        """What is saved when the user goes on without it: changed items, and notes that only the model reads."""
        changed: list[ThreadItem] = [*map(_unanswered, self.calls), *map(_skipped, self.questions)]
        notes: list[ThreadItem] = []
        for run in self.runs:
            for approval in run.approvals:
                if approval.decision != "rejected" and (card := self.cards.get(approval.item_id)) is not None:
                    changed.append(approval_card(card, approval, "expired"))
            notes.append(_note(thread, run.approvals))
        return changed, notes


async def load_pending(
    store: SqlStore[RequestContext], thread: ThreadMetadata, context: RequestContext
) -> PendingInput:
    """What the thread waits for now. Raises `chatkit.store.NotFoundError` for a thread that is not the user's."""
    recent = await store.load_since_user(thread.id, context)
    waiting = PendingInput(since=recent.items, position=recent.position)
    for item in waiting.since:
        match item:
            case ClientToolCallItem(status="pending"):
                waiting.calls.append(item)
            case StructuredInputItem(status="pending"):
                waiting.questions.append(item)
            case WidgetItem():
                waiting.cards[item.id] = item
    if waiting.cards:
        waiting.runs = await store.approvals.waiting(thread.id, context)
    return waiting


def _unanswered(call: ClientToolCallItem) -> ClientToolCallItem:
    return call.model_copy(update={"status": "completed", "output": {"error": NO_OUTPUT}})


def _skipped(question: StructuredInputItem) -> StructuredInputItem:
    skipped = question.model_copy(deep=True)
    for entry in skipped.inputs:
        entry.answer = StructuredInputAnswer(skipped=True)
    skipped.status = "skipped"
    return skipped


def _decided(run: PausedRun, choice: Choice) -> PausedRun:
    made = [
        replace(approval, decision=choice.decision) if approval.id == choice.approval_id else approval
        for approval in run.approvals
    ]
    return replace(run, approvals=made)


def _note(thread: ThreadMetadata, approvals: Sequence[Approval]) -> SDKHiddenContextItem:
    told = [
        f"{words} {', '.join(f'`{approval.tool}`' for approval in approvals if approval.decision == decision)}"
        for decision, words in DECISIONS.items()
        if any(approval.decision == decision for approval in approvals)
    ]
    return SDKHiddenContextItem(
        id=new_id("shcx"),
        thread_id=thread.id,
        created_at=datetime.now(UTC),
        content=f"The user {', '.join(told)} and went on with the conversation. Nothing of it was run.",
    )
