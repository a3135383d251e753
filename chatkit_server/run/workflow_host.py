"""What exported workflows need of the server: it starts and streams the runs of one turn."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents import Agent, RunConfig, RunResultStreaming
from chatkit.types import ThreadStreamEvent

from ..agent_context import AgentContext
from ..agents.exported_workflow import ExportedWorkflow
from ..agents.prepare import limit_tools
from ..agents.tool_failures import contain_tools
from ..agents.turn_runner import RunInput, RunOptions
from ..conversion.outputs import Outputs, OutputText
from ..exports.run_host import Completion
from ..exports.run_input import Conversation
from ..exports.workflow_turn import WorkflowTurn
from ..recording.run_recording import RunRecording
from ..settings import Settings
from .author_run import start_author_run
from .author_runs import AuthorRuns

StreamRun = Callable[[RunResultStreaming, OutputText | None], AsyncGenerator[ThreadStreamEvent, None]]
"""Yields the events of a run; the function renders outputs other than text."""


@dataclass(frozen=True)
class WorkflowHost:
    """Implements `exports.run_host.RunHost` for one turn."""

    context: AgentContext
    settings: Settings
    run_config: RunConfig
    stream_run: StreamRun
    load: Callable[[Agent[Any]], Awaitable[tuple[Sequence[Any], Sequence[Any]]]]
    render: OutputText
    nested: AuthorRuns

    def call(
        self, workflow: ExportedWorkflow, text: str, recording: RunRecording | None
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of the workflow for the user's message; with a recording, those that follow it."""
        conversation = Conversation(self, text, has_history=self.settings.workflow_history)
        return WorkflowTurn(workflow, self.context, self, conversation, text, recording).events()

    @property
    def variables(self) -> Mapping[str, Any]:
        """As `RunHost.variables`."""
        return self.context.request_context.state_variables

    async def load_thread(self, agent: Agent[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """As `RunHost.load_thread`."""
        return await self.load(agent)

    @property
    def nested_runs(self) -> AuthorRuns:
        """As `RunHost.nested_runs`."""
        return self.nested

    def start(
        self, agent: Agent[Any], input: RunInput, options: RunOptions, before_model: Completion | None = None
    ) -> RunResultStreaming:
        """As `RunHost.start`. An agent without a context of its own gets that of the turn, as ours do."""
        limit_tools(agent, self.settings.tool_call_seconds)
        contain_tools(agent)
        own = options.get("context")
        options = {**options, "context": self.context.run_context if own is None else own}
        config = self.run_config
        return start_author_run(
            agent, input, options, config=config, max_turns=self.settings.max_turns, before_model=before_model
        )

    def stream(self, result: RunResultStreaming, *, is_step: bool) -> AsyncGenerator[ThreadStreamEvent, None]:
        """As `RunHost.stream`."""
        return self.stream_run(result, _show_nothing if is_step else None)

    async def close(self, *, is_stopped: bool) -> None:
        """As `RunHost.close`."""
        await self.nested.close(is_stopped=is_stopped)

    def output_text(self, output: Any) -> str | None:
        """As `RunHost.output_text`."""
        return Outputs(self.render).render(output)


def _show_nothing(output: Any) -> str | None:
    return None
