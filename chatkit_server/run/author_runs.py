"""The runs of the Agents SDK that an author's code starts, with the server's models, limits and tracing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from agents import Agent, RunConfig, RunResultStreaming, RunState, StreamEvent

from ..agents.prepare import limit_tools
from ..agents.tool_failures import contain_tools
from ..agents.turn_runner import RunInput, RunOptions, turn_runs
from ..models.usage import turn_usage
from ..recording.late_result import late_result, watch_events
from ..recording.run_recording import RunRecording, TurnPaused
from ..settings import Settings
from .author_run import start_author_run
from .deadlines import Deadlines
from .limited_silence import limit_silence
from .tool_tasks import tool_tasks

UNREAD_SECONDS = 1.0
"""How long what tools have shown may wait for a reader before a paused run ends its turn."""


class AuthorRuns:
    """Starts the runs of one request, also those that tools start. The author's code reads their events.

    With a recording, a run that needs the user's approval ends the author's code by `TurnPaused`; `paused` has the run.
    """

    def __init__(
        self, config: RunConfig, settings: Settings, deadlines: Deadlines, recording: RunRecording | None = None
    ) -> None:
        self._config = config
        self._settings = settings
        self._deadlines = deadlines
        self._recording = recording
        self._reading_count = 0
        self._stopped = asyncio.Event()
        self._results: list[RunResultStreaming] = []
        self._read: list[RunResultStreaming] = []
        """Those of them whose events the author's code reads."""
        self._tasks: set[asyncio.Task[Any]] = set()
        """The tasks of the author's code that have waited for a run."""
        self.paused: tuple[Agent[Any], RunResultStreaming] | None = None
        """The run that waits for the user, and the agent that it began with."""

    @property
    def is_replaying(self) -> bool:
        """Whether the author's code only repeats what it did before it paused."""
        return self._recording is not None and self._recording.is_replaying

    @property
    def is_reading(self) -> bool:
        """Whether the author's code reads the events of a run. A replay has none, so what the code does with each event
        is not repeated."""
        return self._reading_count > 0

    async def run(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Run the agent to its end."""
        if self._recording is not None and (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
        result = self._run_streamed(agent, input, options, is_read=False)
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
        """Start a run whose events the author's code reads; a recorded or paused one when it reads the first event."""
        return self._run_streamed(agent, input, options, is_read=True)

    def _run_streamed(
        self, agent: Agent[Any], input: RunInput, options: RunOptions, *, is_read: bool
    ) -> RunResultStreaming:
        recording = self._recording
        if recording is None or isinstance(input, RunState):  # a state: the author decides about approvals
            return self._start(agent, input, options, is_read=is_read)
        place = recording.enter(agent)
        if recording.is_recorded(place):
            return late_result(agent, lambda: recording.restore(place, agent, options.get("context")))

        async def resume() -> RunResultStreaming:
            state = await recording.resume(agent, options.get("context"))
            return self._start(agent, state, options, is_read=is_read)

        is_paused = recording.is_paused(place)
        result = late_result(agent, resume) if is_paused else self._start(agent, input, options, is_read=is_read)
        watch_events(result, lambda events: self._record(place, agent, result, events, is_read=is_read))
        return result

    async def _record(
        self,
        place: str,
        agent: Agent[Any],
        result: RunResultStreaming,
        events: AsyncIterator[StreamEvent],
        *,
        is_read: bool,
    ) -> AsyncIterator[StreamEvent]:
        """Yield the events of a run, and record how it ended. Raises `TurnPaused` if the user must approve a call."""
        recording = self._recording
        assert recording is not None
        self._reading_count += is_read
        try:
            async for event in events:
                yield event
        except Exception as error:
            recording.fail(place, error)
            raise
        finally:
            self._reading_count -= is_read
        if not result.interruptions:
            recording.finish(place, result)
            return
        if self.paused is None:
            recording.begin(place, result.context_wrapper.context)
            self.paused = (agent, result)
        if is_read:
            await _helpers_read(result.context_wrapper.context)
        raise TurnPaused

    def _start(self, agent: Agent[Any], input: RunInput, options: RunOptions, *, is_read: bool) -> RunResultStreaming:
        context = copy_context()
        context.run(turn_runs.set, self._nested)  # for runs that tools start
        result = context.run(self._start_here, agent, input, options)
        if is_read:
            self._read.append(result)
        return result

    @property
    def _nested(self) -> "AuthorRuns":
        nested = AuthorRuns(self._config, self._settings, self._deadlines)
        nested._results, nested._stopped = self._results, self._stopped
        return nested

    def _start_here(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        limit_tools(agent, self._settings.tool_call_seconds)
        contain_tools(agent)
        result = start_author_run(agent, input, options, config=self._config, max_turns=self._settings.max_turns)
        self._results.append(result)
        limit_silence(result, self._deadlines, is_stopped=self._stopped.is_set)
        return result

    async def wait_for_others(self) -> None:
        """Let tasks end that run agents beside the one that has paused, such as for a title: the turn ends now."""
        if tasks := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=self._settings.stop_seconds)

    @property
    def answering_agent(self) -> Agent[Any] | None:
        """The agent whose run had the most output, beside those of titles and tools; None before any run. It is one
        whose events were read, if there is any."""
        results = [result for result in self._read or self._results if result.current_agent is not None]
        answer = max(results, key=lambda result: result.context_wrapper.usage.output_tokens, default=None)
        return None if answer is None else answer.current_agent

    @property
    def chosen_model(self) -> str | None:
        """The model that the user has chosen for all agents."""
        model = self._config.model
        return model if isinstance(model, str) else None

    async def close(self, *, is_stopped: bool) -> None:
        """Count the tokens of the runs so far; if the turn was stopped, cancel the rest, with their tools (T3).

        chatkit's `stream_agent_response` leaves a run going when it is cancelled.
        """
        results = self._results.copy()
        self._results.clear()
        if is_stopped:
            self._stopped.set()
            await asyncio.gather(*map(_cancel, results))
        if (usage := turn_usage.get()) is not None:
            for result in results:
                usage.add(result)


async def _helpers_read(context: Any) -> None:
    """Wait until chatkit's `stream_agent_response` has read what tools have shown by the helpers of their context.

    Nothing reads it if the author's code only waits for the run's result.
    """
    events = getattr(context, "_events", None)
    with suppress(TimeoutError):
        async with asyncio.timeout(UNREAD_SECONDS):
            while isinstance(events, asyncio.Queue) and not events.empty():  # noqa: ASYNC110 - it has no such event
                await asyncio.sleep(0.005)


async def _cancel(result: RunResultStreaming) -> None:
    """End a run that has not ended, and wait for its tasks."""
    task = result.run_loop_task
    if task is None or task.done():
        return
    result.cancel()
    while tasks := ({task} if not task.done() else set()) or tool_tasks(result.context_wrapper):
        await asyncio.wait(tasks)
