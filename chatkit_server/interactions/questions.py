"""Questions of the agent, which the widget shows in place of its composer."""

from collections.abc import Sequence
from typing import Any

from agents import RunContextWrapper, function_tool
from chatkit.types import (
    StructuredInput,
    StructuredInputFreeform,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
)
from pydantic import BaseModel, Field

from ..agent_context import AgentContext

ASKED = "The user was asked. Their answers follow."
"""The tool's output; the run ends with it, and the answers reach the model as an item of the thread."""


class Question(BaseModel):
    """One question of `ask_user`."""

    question: str = Field(description="What is asked, in the language of the conversation.")
    options: list[str] = Field(description="Answers to choose from; empty for an answer in the user's own words.")
    multiple: bool = Field(description="Whether several options may be chosen.")


@function_tool
async def ask_user(context: RunContextWrapper[Any], questions: list[Question]) -> str:
    """Ask the user something that you need to know before you can continue, as a short form. The answers come back
    together; a question may be skipped.

    Args:
        questions: At least one question, preferably at most five, each short and about one thing.
    """
    if not questions:
        return "Error: there is no question."
    await AgentContext.of(context).ask(structured_inputs(questions))
    return ASKED


def structured_inputs(questions: Sequence[Question]) -> list[StructuredInput]:
    """Return the questions in the widget's shape; their ids are q1, q2, and so on."""
    return [_structured_input(f"q{number}", question) for number, question in enumerate(questions, start=1)]


def _structured_input(question_id: str, question: Question) -> Any:
    if not question.options:
        return StructuredInputFreeform(id=question_id, question=question.question)
    options = [StructuredInputMultipleChoiceOption(value=option) for option in question.options]
    return StructuredInputMultipleChoice(
        id=question_id, question=question.question, options=options, multiple=question.multiple
    )
