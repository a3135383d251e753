"""Results of runs whose events we read before the author's code does, or that begin only with the first event.

`Runner.run_streamed` returns at once, whereas restoring a run has to ask its tools (agents 0.24).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from agents import Agent, RunContextWrapper, RunResultStreaming, StreamEvent

Watch = Callable[[AsyncIterator[StreamEvent]], AsyncIterator[StreamEvent]]


def late_result(agent: Agent[Any], start: Callable[[], Awaitable[RunResultStreaming]]) -> RunResultStreaming:
    """Return a result that becomes the one that `start` returns once its first event is read."""
    result = blank_result(agent)

    async def events() -> AsyncIterator[StreamEvent]:
        started = await start()
        result.__dict__ = started.__dict__  # one state for both: the run keeps changing it
        async for event in started.stream_events():
            yield event

    result.stream_events = events  # type: ignore[method-assign]
    return result


def blank_result(agent: Agent[Any]) -> RunResultStreaming:
    """Return the result of a run that has not begun."""
    return RunResultStreaming(
        input=[],
        new_items=[],
        raw_responses=[],
        final_output=None,
        input_guardrail_results=[],
        output_guardrail_results=[],
        tool_input_guardrail_results=[],
        tool_output_guardrail_results=[],
        context_wrapper=RunContextWrapper(None),
        current_agent=agent,
        current_turn=0,
        max_turns=None,
        _current_agent_output_schema=None,
        trace=None,
    )


def watch_events(result: RunResultStreaming, watch: Watch) -> None:
    """Let `watch` read the events of a result before the author's code does."""
    events = result.stream_events
    result.stream_events = lambda: watch(events())  # type: ignore[method-assign]
