"""The runs of the Agents SDK that an author's code starts, with the server's models, limits and tracing."""

import asyncio
from typing import Any

from agents import Agent, RunConfig, RunResultStreaming

from ..agents.prepare import limit_tools
from ..agents.tool_failures import contain_tools
from ..agents.turn_runner import RunInput, RunOptions
from ..models.usage import turn_usage
from ..settings import Settings
from .author_run import start_author_run
from .tool_tasks import tool_tasks


class AuthorRuns:
    """Starts the runs of one request, also those that tools start. The author's code reads their events."""

    def __init__(self, config: RunConfig, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._results: list[RunResultStreaming] = []

    async def run(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Run the agent to its end."""
        result = self.run_streamed(agent, input, options)
        try:
            async for _ in result.stream_events():
                pass
        except asyncio.CancelledError:
            result.cancel()
            if result.run_loop_task is not None:
                await asyncio.wait({result.run_loop_task})  # not for tools: one of them may be waiting here
            raise
        return result

    def run_streamed(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Start a run whose events the author's code reads."""
        limit_tools(agent, self._settings.tool_call_seconds)
        contain_tools(agent)
        result = start_author_run(agent, input, options, config=self._config, max_turns=self._settings.max_turns)
        self._results.append(result)
        return result

    async def close(self, *, is_stopped: bool) -> None:
        """Count the tokens of the runs so far; if the turn was stopped, cancel those that go on, with their tools (T3).

        chatkit's `stream_agent_response` leaves a run going when it is cancelled.
        """
        results, self._results = self._results, []
        if is_stopped:
            await asyncio.gather(*map(_cancel, results))
        if (usage := turn_usage.get()) is not None:
            for result in results:
                usage.add(result)


async def _cancel(result: RunResultStreaming) -> None:
    """End a run that has not ended, and wait for its tasks."""
    task = result.run_loop_task
    if task is None or task.done():
        return
    result.cancel()
    while tasks := ({task} if not task.done() else set()) or tool_tasks(result.context_wrapper):
        await asyncio.wait(tasks)
