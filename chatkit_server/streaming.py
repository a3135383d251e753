"""A streamed Agents SDK run → ChatKit thread events. Takes the place of `chatkit.agents.stream_agent_response`.

Different from chatkit 1.6.5, on purpose: one task for the whole run instead of one per event, and the run is cancelled
and awaited when nobody reads on (trap T3). What the events mean is in `conversion.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from agents import RunResultStreaming
from agents.stream_events import RawResponsesStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import ThreadItemAddedEvent, ThreadStreamEvent

from .agent_context import AgentContext, RunEnd
from .conversion import Conversion, text_delta_event


async def stream_agent_response(
    context: AgentContext, result: RunResultStreaming, *, converter: ResponseStreamConverter | None = None
) -> AsyncIterator[ThreadStreamEvent]:
    """Yields the ChatKit events of a streamed run, and of the context's helpers, in the order they were sent.

    Closing the iterator early cancels the run: its model call is closed and its tools are cancelled.

    Raises what the run raises; `ProviderFailure` where the model's stream ended with an error event. After a
    guardrail's tripwire everything that the run showed is removed first.
    """
    conversion = Conversion(context, converter or ResponseStreamConverter())
    pump = asyncio.create_task(_pump(result, context), name="agent run")
    try:
        if context.workflow_item is not None:  # it goes on where the last turn left it
            yield ThreadItemAddedEvent(item=context.workflow_item.model_copy(deep=True))
        while not isinstance(event := await context.next_event(), RunEnd):
            if type(event) is RawResponsesStreamEvent:
                data = event.data
                if data.type == "response.output_text.delta" and (
                    item_id := conversion.message_ids.get(data.output_index)
                ):
                    yield text_delta_event(item_id, data)
                    continue
            for converted in await conversion.convert(event):
                yield converted
        for converted in conversion.end(event.error):
            yield converted
        if event.error is not None and not conversion.is_answered(event.error):
            raise conversion.cause(event.error)
    finally:
        await _cancel(result, pump)


async def _pump(result: RunResultStreaming, context: AgentContext) -> None:
    """The one task of a run that reads its events; never raises, but for its own cancellation."""
    error: BaseException | None = None
    try:
        async for event in result.stream_events():
            context.put_run_event(event)
    except Exception as exc:
        error = exc
    context.put_run_event(RunEnd(error))


async def _cancel(result: RunResultStreaming, pump: asyncio.Task[None]) -> None:
    """Ends the run and waits for its tasks, so that no tool and no model call outlives the turn (T3)."""
    if not pump.done():
        result.cancel()
        pump.cancel()
    tasks = {task for task in (pump, result.run_loop_task) if task is not None and not task.done()}
    if tasks:
        await asyncio.wait(tasks)
    if not pump.cancelled():
        with contextlib.suppress(Exception):
            pump.result()
