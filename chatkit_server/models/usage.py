"""Count the tokens and retries of a turn, as reported by the model's provider."""

from contextvars import ContextVar
from dataclasses import dataclass

from agents import RunResultStreaming


@dataclass
class TurnUsage:
    """The usage of one turn; token counts are None if the provider reported none."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    retries: int = 0
    """Requests to the model that its HTTP client repeated."""

    def add(self, result: RunResultStreaming) -> None:
        """Add the usage of a run that ended or was stopped."""
        usage = result.context_wrapper.usage
        if usage.total_tokens:
            self.input_tokens = (self.input_tokens or 0) + usage.input_tokens
            self.output_tokens = (self.output_tokens or 0) + usage.output_tokens


turn_usage: ContextVar[TurnUsage | None] = ContextVar("turn_usage", default=None)
"""The usage of the current task's turn."""
