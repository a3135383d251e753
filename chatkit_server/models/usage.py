"""Count the tokens and retries of a turn, as reported by the model's provider."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from agents import RunResultStreaming, Usage


@dataclass
class TurnUsage:
    """The usage of one turn."""

    retries: int = 0
    """Requests to the model that its HTTP client repeated."""
    on_request: Callable[[], object] | None = None
    """Called when a request to the model leaves, by our client."""
    last_url: object = None
    """Where that request went: a URL, which may have a password."""
    _counted: dict[int, Usage] = field(default_factory=dict)
    """By identity: the run of an agent that is a tool of another shares the usage of that one's run."""

    def request_leaves(self, url: object) -> None:
        """Note that a request to the model leaves for `url`."""
        self.last_url = url
        if self.on_request is not None:
            self.on_request()

    def add(self, result: RunResultStreaming) -> None:
        """Add the usage of a run that ended or was stopped."""
        usage = result.context_wrapper.usage
        self._counted[id(usage)] = usage

    @property
    def input_tokens(self) -> int | None:
        """The tokens of all input; None if the provider reported none."""
        reported = [usage.input_tokens for usage in self._counted.values() if usage.total_tokens]
        return sum(reported) if reported else None

    @property
    def output_tokens(self) -> int | None:
        """The tokens of all output; None if the provider reported none."""
        reported = [usage.output_tokens for usage in self._counted.values() if usage.total_tokens]
        return sum(reported) if reported else None


turn_usage: ContextVar[TurnUsage | None] = ContextVar("turn_usage", default=None)
"""The usage of the current task's turn."""


def last_url() -> object:
    """Return where the current task's turn sent its last request to a model; None before one."""
    usage = turn_usage.get()
    return None if usage is None else usage.last_url
