"""Accept answers to what a thread waits for, by their ids: what a client without the widget sends."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from chatkit.types import (
    ClientToolCallItem,
    StructuredInputAnswerSubmission,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputSubmission,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
)

from chatkit_store import ApprovalDecision

from ..context import RequestContext
from ..errors.http import AlreadyAnswered, InvalidParams, NotFound
from ..interactions.approvals import AcceptedDecisions, accept_decisions, resume_run
from ..interactions.pending import PendingInput, load_pending
from ..interactions.preconditions import writable_thread
from ..run.server import ChatServer
from .accept import Accepted, completed, replaced_events, with_answers

ANSWERS = "api.answers"
"""The `kind` of a turn that such answers start."""


@dataclass(frozen=True)
class Decided:
    """An approved or rejected call."""

    id: str
    decision: Literal["approved", "rejected"]


@dataclass(frozen=True)
class AnsweredQuestions:
    """The answers by the ids of the questions; None if all are skipped."""

    id: str
    answers: Mapping[str, Sequence[str]] | None


@dataclass(frozen=True)
class ToolOutput:
    """What a tool of the page has returned."""

    id: str
    output: Any


GivenAnswer = Decided | AnsweredQuestions | ToolOutput


async def accept_answers(
    answers: Sequence[GivenAnswer], thread_id: str, server: ChatServer, context: RequestContext
) -> Accepted:
    """Check the answers against what the thread waits for; write nothing. All of them count, or none.

    Raises `InvalidParams` for an answer that does not fit, `NotFound` for an id that the thread has never had,
    `AlreadyAnswered` or `ApprovalClosed` for one that no longer waits, and as `accept` does.
    """
    thread = await writable_thread(server, thread_id, context)
    pending = await load_pending(server.sql_store, thread, context)
    items = [await _answered(answer, pending, thread, server, context) for answer in answers]
    answered = [item for item in items if item is not None]
    remaining = pending
    for item in answered:
        remaining = remaining.without(item.id)
    decisions = [ApprovalDecision(answer.id, answer.decision) for answer in answers if isinstance(answer, Decided)]
    decided = await accept_decisions(server, thread, decisions, remaining, context) if decisions else None
    if decided is not None:
        remaining, answered = decided.pending, [*answered, *decided.cards]
    accepted = Accepted(
        kind=ANSWERS,
        thread=thread,
        items=answered,
        model=server.selection_for(None, pending.since).model,
        opening=lambda: replaced_events(answered),
        decisions=() if decided is None else decided.decisions,
        seen_position=pending.position,
        run=_continuation(remaining, decided, thread, server, context, is_decision=len(decisions) == len(answers)),
        allows_fast_path=False,
    )
    return await completed(accepted, server, context)


def _continuation(
    remaining: PendingInput,
    decided: AcceptedDecisions | None,
    thread: ThreadMetadata,
    server: ChatServer,
    context: RequestContext,
    *,
    is_decision: bool,
) -> Callable[[], AsyncIterator[ThreadStreamEvent]]:
    """Return what continues: the run or the agent if nothing else is pending, else the next tool of the page."""
    if decided is not None and (is_decision or decided.has_changed):
        return decided.run
    if not remaining.is_complete:
        return remaining.send_next_call
    if (run := remaining.run_to_resume) is not None:
        return partial(resume_run, server, thread, run, context)  # restored only now, with the answers
    return lambda: server.respond(thread, None, context)


async def _answered(
    answer: GivenAnswer, pending: PendingInput, thread: ThreadMetadata, server: ChatServer, context: RequestContext
) -> ThreadItem | None:
    """Return the item with its answer; None for a decision, whose card is made with all others."""
    call = next((call for call in pending.calls if call.id == answer.id), None)
    question = next((question for question in pending.questions if question.id == answer.id), None)
    match answer:
        case Decided() if call is None and question is None:
            return None
        case AnsweredQuestions() if question is not None:
            return _with_answers(question, answer)
        case ToolOutput() if call is not None:
            return call.model_copy(update={"output": answer.output, "status": "completed"})
    if call is not None or question is not None:
        needed = "`output`" if question is None else "`answers`, or `skipped`"
        raise InvalidParams(f"The answer to {answer.id} needs {needed}.")
    await _refuse(answer, thread, server, context)
    raise NotFound("Nothing of this conversation waits under that id.")


async def _refuse(answer: GivenAnswer, thread: ThreadMetadata, server: ChatServer, context: RequestContext) -> None:
    """Raise the reason why the answer's id does not wait, if it is known."""
    runs = await server.sql_store.approvals.waiting(thread.id, context)
    if any(approval.id == answer.id for run in runs for approval in run.approvals):
        raise InvalidParams(f"The answer to {answer.id} needs `decision`: approved or rejected.")
    item = await server.store.load_item(thread.id, answer.id, context)  # raises NotFoundError
    if isinstance(item, StructuredInputItem | ClientToolCallItem):
        raise AlreadyAnswered("This was already answered, or the conversation continued without an answer.")


def _with_answers(item: StructuredInputItem, answer: AnsweredQuestions) -> StructuredInputItem:
    given = answer.answers or {}
    questions = {question.id: question for question in item.inputs}
    if unknown := sorted(given.keys() - questions.keys()):
        raise InvalidParams(f"{item.id} has no question {unknown[0]}; it has {', '.join(questions)}.")
    for id, values in given.items():
        question = questions[id]
        if len(values) > 1 and not (isinstance(question, StructuredInputMultipleChoice) and question.multiple):
            raise InvalidParams(f"The question {id} of {item.id} takes one answer.")
    submission = StructuredInputSubmission(
        status="skipped" if answer.answers is None else "answered",
        answers={id: StructuredInputAnswerSubmission(values=list(values)) for id, values in given.items()},
    )
    return with_answers(item, submission)
