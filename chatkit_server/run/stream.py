"""Turn a streamed Agents SDK run into ChatKit thread events. Replaces `chatkit.agents.stream_agent_response`.

Deliberate differences from chatkit 1.6.5: one task reads the whole run instead of one task per event, and closing the
iterator cancels the run and waits for it (T3). If the model supports taps, text deltas bypass the queue.
`conversion/` decides what each event means for the thread.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from math import inf
from typing import Any

from agents import InputGuardrailTripwireTriggered, RunResultStreaming
from agents.items import TResponseStreamEvent
from agents.stream_events import RawResponsesStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import ThreadStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseTextDeltaEvent

from ..agent_context import AgentContext, OutsideEvent, RunEnd
from ..conversion import Conversion, text_delta_event
from ..conversion.outputs import OutputText
from ..conversion.shown_items import Events
from ..conversion.tool_display import ToolDisplays
from ..errors.failures import ModelSilent, NoAnswer, ToolSilent
from ..fast_path.tap import EVENTS_PER_TURN, TextSink, close_tap, open_tap
from ..interactions.approvals import ask_approvals, wait_for_answers
from ..memory import Transcript, turn_transcript
from .deadlines import Deadlines, SilenceWatch
from .guardrails import TripwireWatch
from .held_item import HELD_LONG, HeldItem
from .tool_tasks import tool_tasks

NO_DEADLINES = Deadlines(first_event=inf, silence=inf, tool=inf, stop=inf)


def stream_agent_response(
    context: AgentContext,
    result: RunResultStreaming,
    *,
    converter: ResponseStreamConverter | None = None,
    sink: TextSink | None = None,
    deadlines: Deadlines | None = None,
    displays: ToolDisplays | None = None,
    guardrails: int = 0,
    output_text: OutputText | None = None,
    ends_turn: Callable[[], bool] | None = None,
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Yield the ChatKit events of a streamed run and of the context's helpers, in the order they happened.

    - `converter` turns citations and images into ChatKit's.
    - `sink` receives text deltas directly wherever that does not change the order; they are then not yielded.
    - `deadlines` limit how long the run may be silent; None for no limit.
    - `displays` shows tool calls and handoffs; None hides them.
    - `output_text` returns what a user reads of an output other than text; by default, it is rendered as Markdown.
    - `guardrails` is the number of input guardrails in the `RunConfig`; those of the agent are counted here.
    - `ends_turn` returns whether the turn ends with this run, when its last item is done; by default, it does not. If
      so, and if there is a `sink`, that item may come as a `LastItemDoneEvent`.

    Closing the iterator early cancels the run. It returns once the model call is closed and tools have finished
    cleaning up (their `finally` blocks), however long that takes; after a deadline or an input guardrail's tripwire
    ended the run, `deadlines.stop` limits this wait. A synchronous tool runs in an OS thread, which cannot be
    cancelled: it runs to its end and is not waited for.

    Raises what the run raises; `NoAnswer` if the run produced nothing; `ProviderFailure` if the model's stream ended
    with an error event; `ModelSilent` or `ToolSilent` if a deadline passed. After a guardrail's tripwire, the items
    that the run showed are removed before the error is raised.
    """
    run = RunStream(context, result, converter, sink, deadlines or NO_DEADLINES, displays, guardrails, output_text)
    if ends_turn is not None and sink is not None:
        run.ends_turn = ends_turn
    return run.events()


class RunStream:
    """Reads one run to its end. Nothing starts before the first event is requested."""

    __slots__ = (
        "_context",
        "_conversion",
        "_deadlines",
        "_guardrails",
        "_inbox",
        "_is_idle",
        "_item_ids",
        "_last",
        "_pump",
        "_result",
        "_sink",
        "_stop_seconds",
        "_tap",
        "_text_delta",
        "_text_place",
        "_transcript",
        "_tripwires",
        "_watch",
        "ends_turn",
    )

    def __init__(
        self,
        context: AgentContext,
        result: RunResultStreaming,
        converter: ResponseStreamConverter | None,
        sink: TextSink | None,
        deadlines: Deadlines,
        displays: ToolDisplays | None,
        guardrails: int,
        output_text: OutputText | None,
    ) -> None:
        transcript = turn_transcript.get() or Transcript()
        self._context = context
        self._result = result
        self._sink = sink
        self._deadlines = deadlines
        self._guardrails = guardrails
        self._transcript = transcript
        self._inbox = context.inbox
        self._conversion = Conversion(
            context, converter or ResponseStreamConverter(), transcript, displays, output_text
        )
        self._item_ids = self._conversion.parts
        self._is_idle = False
        """Everything so far has been yielded, and `events` waits for the inbox."""
        self._text_delta: ResponseTextDeltaEvent | None = None
        """The delta whose content part belongs to the item and index of `_text_place`; None after an event."""
        self._text_place = ("", 0)
        self.ends_turn: Callable[[], bool] = bool
        """Returns whether nothing of the turn follows this run."""
        self._last = HeldItem(context.inbox)
        self._stop_seconds: float | None = None
        """How long `close` waits for tools; None for as long as they take."""

    def _start(self) -> None:
        result = self._result
        self._transcript.add_agent(result.current_agent)
        self._context.attach(result)
        self._watch = SilenceWatch(self._inbox, self._deadlines)
        guardrails = self._guardrails + len(result.current_agent.input_guardrails)
        self._tripwires = TripwireWatch(result, self._inbox, guardrails)
        self._pump = asyncio.create_task(self._read(), name="agent run")
        self._tap = open_tap(self._model_task, self.listen, None if self._sink is None else self.listen_text)

    @property
    def _model_task(self) -> asyncio.Task[None]:
        """The task that calls the model: the Runner's, or ours (`direct_run.py`)."""
        return self._result.run_loop_task or self._pump

    def listen(self, event: TResponseStreamEvent) -> None:
        """Take an event straight from the model. Runs once per token.

        Text may skip the inbox only while nothing is ahead of it: neither in the inbox nor being converted.
        """
        if (
            self._is_idle
            and self._sink is not None
            and type(event) is ResponseTextDeltaEvent
            and self._inbox.empty()
            and (item_id := self._item_ids.get((event.output_index, event.content_index))) is not None
        ):
            self._watch.event_count += 1
            self._sink(item_id, event.content_index, event.delta)
        else:
            self._inbox.put_nowait(event)

    def listen_text(self, earlier: ResponseTextDeltaEvent, text: str, tokens: int) -> None:
        """Take text that the socket's reader has found. It follows `earlier` in the same content part.

        Never raises: an error ends the run, not the connection.
        """
        if earlier is not self._text_delta and self._is_idle:
            index = earlier.content_index
            if (item_id := self._item_ids.get((earlier.output_index, index))) is not None:
                self._text_delta, self._text_place = earlier, (item_id, index)
        if self._is_idle and earlier is self._text_delta and not self._inbox.incoming:
            self._watch.event_count += tokens
            assert self._sink is not None
            item_id, index = self._text_place
            try:
                self._sink(item_id, index, text)
            except Exception as error:
                self._inbox.put_nowait(RunEnd(error))
        else:
            self._inbox.put_nowait(earlier.model_copy(update={"delta": text}))

    async def events(self) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the run's events, then raise its error. Ends with `close`, also when it is closed early."""
        self._start()
        # Locals: the loop below runs once per event.
        inbox, item_ids, watch, last = self._inbox, self._item_ids, self._watch, self._last
        burst = 0
        try:
            for converted in await self._conversion.begin():
                yield converted
            while True:
                if inbox.qsize() and (burst := burst + 1) == EVENTS_PER_TURN:
                    burst = 0
                    await asyncio.sleep(0)
                self._is_idle = not last.is_held
                try:
                    event = await inbox.get()
                except asyncio.CancelledError:
                    for converted in last.take(is_end=True):  # the item is done, whatever stops the run now
                        yield converted
                    raise
                self._is_idle, self._text_delta = False, None
                if isinstance(event, RunEnd):
                    break
                watch.event_count += 1
                if type(event) is ResponseTextDeltaEvent and (
                    not last.is_held and (item_id := item_ids.get((event.output_index, event.content_index)))
                ):
                    yield text_delta_event(item_id, event)
                    continue
                watch.note(event)
                for converted in await self._convert(event):
                    yield converted
            if isinstance(event.error, ModelSilent | ToolSilent | InputGuardrailTripwireTriggered):
                self._stop_seconds = self._deadlines.stop
            async for converted in self._end(event.error):
                yield converted
        finally:
            await self.close()

    async def _convert(self, event: Any) -> Events:
        """Return the events that an entry of the inbox leads to, after those that have waited for it."""
        last = self._last
        if event is HELD_LONG:
            return last.take()
        # Only a run that is one call of the model ends with its response.
        if self._result.run_loop_task is None and last.is_expected(event) and self.ends_turn():
            last.hold(await self._conversion.convert(event))
            return []
        converted = await self._conversion.convert(event)
        is_near_end = type(event) is ResponseCompletedEvent and not converted
        return converted if is_near_end or not last.is_held else [*last.take(), *converted]

    async def close(self) -> None:
        """Cancel the run if it has not ended, and wait for its tasks."""
        self._watch.stop()
        self._tripwires.stop()
        self._last.take()
        await self._cancel()
        close_tap(self._result.run_loop_task)
        close_tap(self._pump)
        self._context.detach()
        self._remember_unread()
        # What is circular stays in memory until the garbage is collected: with a long answer, megabytes.
        self._is_idle, self._sink, self._text_delta, self.ends_turn = False, None, None, bool
        del self._result, self._conversion, self._context, self._pump, self._tripwires

    async def _end(self, error: BaseException | None) -> AsyncGenerator[ThreadStreamEvent, None]:
        conversion, result = self._conversion, self._result
        if error is None:  # saved before the page gets its call
            await wait_for_answers(self._context, result)
        shown = [*([] if error is not None else conversion.final_answer(result)), *conversion.end(error)]
        is_end = error is None and not (shown or result.interruptions or conversion.notices())
        for event in [*self._last.take(is_end=is_end), *shown]:
            yield event
        if error is not None:
            if not conversion.is_answered(error):  # else a refusal or cut text was shown: the error adds nothing
                raise conversion.cause(error)
        elif result.interruptions:
            async for request in ask_approvals(self._context, result):
                yield request
        elif conversion.is_silent(result):
            raise NoAnswer("the run ended without an answer")
        for event in conversion.notices():
            yield event

    async def _read(self) -> None:
        """Move the SDK's events into the inbox. Raises nothing except its own cancellation."""
        tap = self._tap
        error: BaseException | None = None
        try:
            async for event in self._result.stream_events():
                if not isinstance(event, RawResponsesStreamEvent):
                    self._inbox.put_nowait(event)
                elif not tap.was_heard(event.data):
                    self._inbox.put_nowait(event.data)
        except Exception as exc:
            error = exc
        self._inbox.put_nowait(RunEnd(error))

    async def _cancel(self) -> None:
        """End the run and wait for its tasks, so that no tool and no model call outlives the turn (T3)."""
        pump = self._pump
        is_running = not pump.done()
        if is_running:
            self._result.cancel()
            pump.cancel()
        run_tasks = {task for task in (pump, self._result.run_loop_task) if task is not None}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._stop_seconds):
                # Tools start their cleanup once the run's own tasks have ended, so they are looked up again each time.
                while tasks := {task for task in run_tasks if not task.done()} or (
                    tool_tasks(self._result.context_wrapper, self._context) if is_running else set()
                ):
                    await asyncio.wait(tasks)
        if pump.done() and not pump.cancelled():
            with contextlib.suppress(Exception):
                pump.result()  # retrieved, so that asyncio does not log it

    def _remember_unread(self) -> None:
        """Record unread events of the run in the transcript: they happened. Outside events stay for their reader."""
        events = [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
        for event in events:
            if isinstance(event, OutsideEvent):
                self._inbox.put_nowait(event)
            else:
                self._conversion.remember(event)
