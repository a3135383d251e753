"""A streamed Agents SDK run → ChatKit thread events. Takes the place of `chatkit.agents.stream_agent_response`.

Different from chatkit 1.6.5, on purpose: one task for the whole run instead of one per event, and the run is cancelled
and awaited when nobody reads on (trap T3). Models that can be tapped are, so that a text delta takes the short way.
What the events mean is in `conversion.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from agents import RunResultStreaming
from agents.items import TResponseStreamEvent
from agents.stream_events import RawResponsesStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import ThreadItemAddedEvent, ThreadStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

from .agent_context import AgentContext, Inbox, RunEnd
from .conversion import Conversion, text_delta_event
from .models.tap import Tap, open_tap
from .shortcut import TextSink


async def stream_agent_response(
    context: AgentContext,
    result: RunResultStreaming,
    *,
    converter: ResponseStreamConverter | None = None,
    sink: TextSink | None = None,
) -> AsyncIterator[ThreadStreamEvent]:
    """Yields the ChatKit events of a streamed run, and of the context's helpers, in the order they were sent.

    With a `sink`, text goes there instead of into an event wherever it can without changing the order.

    Closing the iterator early cancels the run: its model call is closed and its tools are cancelled.

    Raises what the run raises; `ProviderFailure` where the model's stream ended with an error event. After a
    guardrail's tripwire everything that the run showed is removed first.
    """
    conversion = Conversion(context, converter or ResponseStreamConverter())
    inbox = context.inbox
    parts = conversion.parts
    is_idle = False  # all that happened so far has been taken, and the reader waits in `inbox.get`

    def listen(event: TResponseStreamEvent) -> None:
        if is_idle and sink is not None and type(event) is ResponseTextDeltaEvent and inbox.empty():
            item_id = parts.get((event.output_index, event.content_index))
            if item_id is not None:
                sink(item_id, event.content_index, event.delta)
                return
        inbox.put_nowait(event)

    tap = open_tap(result.run_loop_task, listen)
    pump = asyncio.create_task(_pump(result, inbox, tap), name="agent run")
    try:
        if context.workflow_item is not None:  # it goes on where the last turn left it
            yield ThreadItemAddedEvent(item=context.workflow_item.model_copy(deep=True))
        while True:
            is_idle = True
            event = await inbox.get()
            is_idle = False
            if isinstance(event, RunEnd):
                break
            if type(event) is ResponseTextDeltaEvent and (
                item_id := parts.get((event.output_index, event.content_index))
            ):
                yield text_delta_event(item_id, event)
                continue
            for converted in await conversion.convert(event):
                yield converted
        for converted in conversion.end(event.error):
            yield converted
        if event.error is not None and not conversion.is_answered(event.error):
            raise conversion.cause(event.error)
    finally:
        await _cancel(result, pump)


async def _pump(result: RunResultStreaming, inbox: Inbox, tap: Tap) -> None:
    """The one task of a run that reads its events; never raises, but for its own cancellation."""
    error: BaseException | None = None
    try:
        async for event in result.stream_events():
            if not isinstance(event, RawResponsesStreamEvent):
                inbox.put_nowait(event)
            elif not tap.was_heard(event.data):
                inbox.put_nowait(event.data)
    except Exception as exc:
        error = exc
    inbox.put_nowait(RunEnd(error))


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
