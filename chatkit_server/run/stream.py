"""A streamed Agents SDK run → ChatKit thread events. Takes the place of `chatkit.agents.stream_agent_response`.

Different from chatkit 1.6.5, on purpose: one task for the whole run instead of one per event, and the run is cancelled
and awaited when nobody reads on (trap T3). Models that can be tapped are, so that a text delta takes the short way.
What the events mean is in `conversion/`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from math import inf
from typing import Any

from agents import InputGuardrailTripwireTriggered, RunContextWrapper, RunResultStreaming
from agents.items import TResponseStreamEvent
from agents.stream_events import RawResponsesStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import ThreadStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

from ..agent_context import AgentContext, AsideEvent, Inbox, RunEnd
from ..conversion import Conversion, text_delta_event
from ..conversion.tool_display import ToolDisplays
from ..errors.failures import ModelSilent, NoAnswer, ToolSilent
from ..interactions.approvals import ask_approvals
from ..memory import Transcript, turn_transcript
from ..models.tap import Tap, TextSink, close_tap, open_tap
from .deadlines import Deadlines, Watch
from .guardrails import Tripwires

NO_DEADLINES = Deadlines(first_event=inf, silence=inf, tool=inf, stop=inf)


async def stream_agent_response(
    context: AgentContext,
    result: RunResultStreaming,
    *,
    converter: ResponseStreamConverter | None = None,
    sink: TextSink | None = None,
    deadlines: Deadlines | None = None,
    displays: ToolDisplays | None = None,
    guardrails: int = 0,
) -> AsyncIterator[ThreadStreamEvent]:
    """Yields the ChatKit events of a streamed run, and of the context's helpers, in the order they were sent.

    With `displays`, the calls of tools are shown, and handoffs.

    `guardrails` says how many input guardrails the `RunConfig` has; those of the agent are known.

    With a `sink`, text goes there instead of into an event wherever it can without changing the order.

    Closing the iterator early cancels the run, and returns when its model call is closed and its tools have put their
    work down: a tool's `finally` is done by then, however long it takes. What cannot be cancelled is not waited for: a
    tool that is no coroutine runs in a thread, and goes on there to its end.

    Raises what the run raises; `NoAnswer` for one that said and did nothing; `ProviderFailure` where the model's stream
    ended with an error event; `ModelSilent` or `ToolSilent` where `deadlines` were passed. After a guardrail's tripwire
    what the run showed is taken back first.
    """
    transcript = turn_transcript.get() or Transcript()
    transcript.add_agent(result.current_agent)
    conversion = Conversion(context, converter or ResponseStreamConverter(), transcript, displays)
    context.follow(result)
    inbox = context.inbox
    parts = conversion.parts
    is_idle = False  # all that happened so far has been taken, and the reader waits in `inbox.get`

    def listen(event: TResponseStreamEvent) -> None:
        if is_idle and sink is not None and type(event) is ResponseTextDeltaEvent and inbox.empty():
            item_id = parts.get((event.output_index, event.content_index))
            if item_id is not None:
                watch.seen += 1
                sink(item_id, event.content_index, event.delta)
                return
        inbox.put_nowait(event)

    deadlines = deadlines or NO_DEADLINES
    watch = Watch(inbox, deadlines)
    patience: float | None = None
    tripwires = Tripwires(result, inbox, guardrails + len(result.current_agent.input_guardrails))
    tap = open_tap(result.run_loop_task, listen)
    pump = asyncio.create_task(_pump(result, inbox, tap), name="agent run")
    try:
        for first in await conversion.begin():
            yield first
        while True:
            is_idle = True
            event = await inbox.get()
            is_idle = False
            if isinstance(event, RunEnd):
                if isinstance(event.error, ModelSilent | ToolSilent | InputGuardrailTripwireTriggered):
                    patience = deadlines.stop
                break
            watch.seen += 1
            if type(event) is ResponseTextDeltaEvent and (
                item_id := parts.get((event.output_index, event.content_index))
            ):
                yield text_delta_event(item_id, event)
                continue
            watch.note(event)
            for converted in await conversion.convert(event):
                yield converted
        async for last in _end(context, result, conversion, event.error):
            yield last
    finally:
        watch.stop()
        tripwires.stop()
        await _cancel(context, result, pump, patience)
        close_tap(result.run_loop_task)
        context.leave()
        _remember_rest(inbox, conversion)


async def _end(
    context: AgentContext, result: RunResultStreaming, conversion: Conversion, error: BaseException | None
) -> AsyncIterator[ThreadStreamEvent]:
    for event in conversion.end(error):
        yield event
    if error is None and result.interruptions:
        async for asked in ask_approvals(context, result):
            yield asked
    if error is None and not result.interruptions and conversion.is_silent(result):
        raise NoAnswer("the run ended without a word")
    if error is not None and not conversion.is_answered(error):
        raise conversion.cause(error)


def _remember_rest(inbox: Inbox, conversion: Conversion) -> None:
    """What nobody reads any more has happened all the same. What came aside was not the run's: it stays for its own."""
    left = [inbox.get_nowait() for _ in range(inbox.qsize())]
    for event in left:
        if isinstance(event, AsideEvent):
            inbox.put_nowait(event)
        else:
            conversion.remember(event)


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


async def _cancel(
    context: AgentContext, result: RunResultStreaming, pump: asyncio.Task[None], patience: float | None
) -> None:
    """Ends the run and waits for its tasks, so that no tool and no model call outlives the turn (T3).

    With `patience`, a tool that will not be cancelled holds the end up for so many seconds only."""
    is_stopped = not pump.done()
    if is_stopped:
        result.cancel()
        pump.cancel()
    own = {task for task in (pump, result.run_loop_task) if task is not None}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while tasks := {task for task in own if not task.done()} or (_tool_tasks(context) if is_stopped else set()):
                await asyncio.wait(tasks)
    if pump.done() and not pump.cancelled():
        with contextlib.suppress(Exception):
            pump.result()


def _tool_tasks(context: AgentContext) -> set[asyncio.Task[Any]]:
    """The tasks of the Agents SDK in which tools of this run still clean up, those of runs inside its tools too.

    The SDK cancels them with the run, waits for none of them, and gives none of them out; its hooks run in others. So
    they are known by what they were started with: the run's context. A task of the user's own is not among them.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in others if _belongs_to(task, context)}


def _belongs_to(task: asyncio.Task[Any], context: AgentContext) -> bool:
    frame = getattr(task.get_coro(), "cr_frame", None)
    if frame is None or not str(frame.f_globals.get("__name__")).startswith("agents."):
        return False
    return any(isinstance(value, RunContextWrapper) and value.context is context for value in frame.f_locals.values())
