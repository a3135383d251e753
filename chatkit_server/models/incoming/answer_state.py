"""What the wire and the model object share about one answer."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent
from openai.types.responses.response import IncompleteDetails

CutReason = Literal["max_output_tokens", "content_filter"]


@dataclass
class AnswerState:
    """The state of one answer of a model."""

    call_ids: set[str] = field(default_factory=set)
    """Ids of tool calls that the conversation already has, or that this answer has used."""
    cut: CutReason | None = None
    """Why the answer is incomplete although the endpoint ended it properly."""

    def note_cut(self, event: TResponseStreamEvent) -> None:
        """Set why the answer is incomplete on its last event, where the Responses API has it."""
        if self.cut is not None and isinstance(event, ResponseCompletedEvent):
            event.response.incomplete_details = IncompleteDetails(reason=self.cut)


answer_state: ContextVar[AnswerState | None] = ContextVar("answer_state", default=None)
"""The state of the answer that the current task reads."""


def used_call_ids(items: Any) -> set[str]:
    """Return the ids of the tool calls in a model's input."""
    if isinstance(items, str):
        return set()
    return {str(item["call_id"]) for item in items if isinstance(item, dict) and item.get("call_id")}
