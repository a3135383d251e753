"""How many tokens a turn took, as the model's provider counts them."""

from contextvars import ContextVar
from dataclasses import dataclass

from agents import RunResultStreaming


@dataclass
class TurnUsage:
    """None where no provider said anything."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    retries: int = 0
    """Requests to the model that its client has repeated."""

    def add(self, result: RunResultStreaming) -> None:
        """Counts a run in, ended or stopped."""
        usage = result.context_wrapper.usage
        if usage.total_tokens:
            self.input_tokens = (self.input_tokens or 0) + usage.input_tokens
            self.output_tokens = (self.output_tokens or 0) + usage.output_tokens


turn_usage: ContextVar[TurnUsage | None] = ContextVar("turn_usage", default=None)
"""Of the turn whose task this is."""
