"""What a workflow needs of the server for each run of an agent. `run.workflow_host` implements it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from agents import Agent, RunResultStreaming
from chatkit.types import ThreadStreamEvent

from ..agents.turn_runner import RunInput, RunOptions, TurnRuns

Completion = Callable[[Agent[Any], list[Any]], Awaitable[list[Any]]]
"""Returns the input of a model call with what belongs before it."""


class RunHost(Protocol):
    """Starts runs with the server's models and limits, and streams them."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The `state_variables` of the chat session."""

    async def load_thread(self, agent: Agent[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the thread as input for the agent's model: the earlier exchanges, and the newest, which begins with
        the user's message."""

    @property
    def nested_runs(self) -> TurnRuns:
        """What runs the agents that tools of our runs start."""

    def start(
        self, agent: Agent[Any], input: RunInput, options: RunOptions, before_model: Completion | None = None
    ) -> RunResultStreaming:
        """Start a run. `before_model` completes the input of each call of a model."""

    def stream(self, result: RunResultStreaming, *, is_step: bool) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of a run. Those of a step have no message."""

    async def close(self, *, is_stopped: bool) -> None:
        """End what tools of the runs have left behind, after a stop, and count its tokens."""

    def output_text(self, output: Any) -> str | None:
        """Return what a user reads of an output other than text; None for nothing."""
