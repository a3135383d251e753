"""Take over `Runner.run` and `Runner.run_streamed` of an author's code, but only inside our turns.

`agents.run.set_default_agent_runner` is the Agents SDK's hook for a runner of one's own (agents 0.24). There is one for
the process, so ours asks a ContextVar whose run this is and passes all others on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, cast

from agents import Agent, RunResult, RunResultStreaming, RunState
from agents.items import TResponseInputItem
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner

RunInput = str | list[TResponseInputItem] | RunState[Any]
RunOptions = dict[str, Any]
"""The keyword arguments of `Runner.run`."""


class TurnRuns(Protocol):
    """Runs the agents of the author's code that a turn executes."""

    async def run(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Run the agent to its end. The result has all that a `RunResult` offers."""

    def run_streamed(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Start a run whose events the author's code reads."""


turn_runs: ContextVar[TurnRuns | None] = ContextVar("turn_runs", default=None)
"""Who runs the agents of the author's code that the current task executes; None outside of a turn, and inside a run: an
agent that is a tool of another is that run's business."""


class TurnRunner(AgentRunner):
    """Passes a run to the turn of the current task, or to the runner that was there before."""

    def __init__(self, other: AgentRunner) -> None:
        self.other = other

    async def run(self, starting_agent: Agent[Any], input: RunInput, **kwargs: Any) -> RunResult:
        """As `AgentRunner.run`."""
        runs = turn_runs.get()
        if runs is None:
            return await self.other.run(starting_agent, input, **kwargs)
        return cast(RunResult, await runs.run(starting_agent, input, dict(kwargs)))

    def run_streamed(self, starting_agent: Agent[Any], input: RunInput, **kwargs: Any) -> RunResultStreaming:
        """As `AgentRunner.run_streamed`."""
        runs = turn_runs.get()
        if runs is None:
            return self.other.run_streamed(starting_agent, input, **kwargs)
        return runs.run_streamed(starting_agent, input, dict(kwargs))

    def run_sync(self, starting_agent: Agent[Any], input: RunInput, **kwargs: Any) -> RunResult:
        """As `AgentRunner.run_sync`, which cannot be called from a running event loop."""
        return self.other.run_sync(starting_agent, input, **kwargs)


_users = 0
"""How many apps of the process need the runner."""


@contextmanager
def installed_turn_runner() -> Iterator[None]:
    """Install the runner in the block. Blocks of several apps may overlap in any order: the last one removes it."""
    global _users
    _users += 1
    if not isinstance(get_default_agent_runner(), TurnRunner):
        set_default_agent_runner(TurnRunner(get_default_agent_runner()))
    try:
        yield
    finally:
        _users -= 1
        if not _users and isinstance(runner := get_default_agent_runner(), TurnRunner):
            set_default_agent_runner(runner.other)
