"""What an answer waits for before it can continue, for clients without the widget, and what they answer."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from chatkit.types import (
    ClientToolCallItem,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    ThreadItem,
    WidgetItem,
)
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from chatkit_store import Approval, TurnRecord

from ..context import RequestContext
from ..interactions.pending import PendingInput, load_pending
from ..services import Services
from ..turns.accept_answers import AnsweredQuestions, Decided, GivenAnswer, ToolOutput

MAX_ANSWERS = 100


class WaitingApproval(BaseModel):
    """A call that runs only if the user approves it."""

    type: Literal["approval"] = "approval"
    id: str
    tool: str | None = Field(description="Null for a question that the agent's function asks.")
    arguments: Any = Field(default=None, description="As the model wrote them; a text if they are not a JSON object.")
    question: str | None = Field(default=None, description="The question, where there is no tool.")


class AskedQuestion(BaseModel):
    """One question of a form."""

    id: str
    question: str
    options: list[str] = Field(default=[], description="Suggestions; empty for an answer in the user's own words.")
    multiple: bool = False


class WaitingQuestions(BaseModel):
    """Questions to the user."""

    type: Literal["questions"] = "questions"
    id: str
    questions: list[AskedQuestion]


class WaitingPageTool(BaseModel):
    """A tool that runs in the page."""

    type: Literal["page_tool"] = "page_tool"
    id: str
    tool: str
    arguments: dict[str, Any]


Waiting = Annotated[WaitingApproval | WaitingQuestions | WaitingPageTool, Field(discriminator="type")]


class ClientAnswer(BaseModel):
    """The answer to one of the entries of `waiting`: one field besides `id`."""

    id: str
    decision: Literal["approved", "rejected"] | None = Field(default=None, description="About an approval.")
    answers: dict[str, str | list[str]] | None = Field(
        default=None, description="By the ids of the questions; those that are missing are skipped."
    )
    skipped: bool = Field(default=False, description="Whether all questions are skipped.")
    output: Any = Field(default=None, description="What a tool of the page returns: any JSON.")

    @model_validator(mode="after")
    def _has_one_answer(self) -> Self:
        given = [
            name
            for name in ("decision", "answers", "skipped", "output")
            if name in self.model_fields_set and (name == "output" or getattr(self, name) not in (None, False))
        ]
        if len(given) != 1:
            raise PydanticCustomError("answer", "needs one of `decision`, `answers`, `skipped` and `output`")
        return self

    def given(self) -> GivenAnswer:
        """Return the answer as the turns know it."""
        if self.decision is not None:
            return Decided(self.id, self.decision)
        if self.answers is not None or self.skipped:
            answers = self.answers and {id: _as_list(values) for id, values in self.answers.items()}
            return AnsweredQuestions(self.id, answers if not self.skipped else None)
        return ToolOutput(self.id, self.output)


class ClientAnswers(BaseModel):
    """Answers to some or all entries of `waiting`."""

    answers: Annotated[list[ClientAnswer], Field(min_length=1, max_length=MAX_ANSWERS)]

    @model_validator(mode="after")
    def _has_each_id_once(self) -> Self:
        if len({answer.id for answer in self.answers}) < len(self.answers):
            raise PydanticCustomError("answers", "two answers have one id")
        return self


async def load_waiting(
    record: TurnRecord, items: Sequence[ThreadItem], services: Services, context: RequestContext
) -> list[Waiting]:
    """Return what the thread waits for since this turn; nothing once a later one has begun."""
    may_wait = record.user_item_id is None or any(map(_may_wait, items))
    if record.status == "running" or not may_wait:
        return []
    (last,) = await services.turn_store.list(context, record.thread_id, limit=1)
    if last.id != record.id:
        return []
    thread = await services.store.load_thread(record.thread_id, context)
    return waiting_for(await load_pending(services.store, thread, context))


def waiting_for(pending: PendingInput) -> list[Waiting]:
    """Return what is pending, for clients."""
    approvals = [approval for run in pending.runs for approval in run.approvals if approval.decision is None]
    return [
        *map(_approval, approvals),
        *map(_questions, pending.questions),
        *(WaitingPageTool(id=call.id, tool=call.name, arguments=call.arguments) for call in pending.calls),
    ]


def _may_wait(item: ThreadItem) -> bool:
    match item:
        case ClientToolCallItem(status="pending") | StructuredInputItem(status="pending") | WidgetItem():
            return True
    return False


def _approval(approval: Approval) -> WaitingApproval:
    if not approval.tool:
        return WaitingApproval(id=approval.id, tool=None, question=approval.arguments)
    return WaitingApproval(id=approval.id, tool=approval.tool, arguments=_arguments(approval.arguments))


def _arguments(text: str) -> Any:
    """Return the arguments as an object. If a name occurs twice, the tool's parser decides, so the text is returned."""
    try:
        return json.loads(text or "{}", object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("duplicate name")
    return values


def _questions(item: StructuredInputItem) -> WaitingQuestions:
    questions = [
        AskedQuestion(
            id=question.id,
            question=question.question,
            options=[option.value for option in question.options],
            multiple=question.multiple,
        )
        if isinstance(question, StructuredInputMultipleChoice)
        else AskedQuestion(id=question.id, question=question.question)
        for question in item.inputs
    ]
    return WaitingQuestions(id=item.id, questions=questions)


def _as_list(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values
