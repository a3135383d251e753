"""Run an exported workflow for one message, and stream the agents that it runs.

The function runs in a task. Each `Runner.run` in it waits until `events` has streamed that run: so the events of a turn
have one order, also if the workflow starts two runs at once. A workflow that waits for the user ends; once the user has
answered, it is called again with a recording of its runs.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents import Agent, RunResultStreaming
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadStreamEvent,
)

from ..agent_context import AgentContext, RunEnd
from ..agents.approval_placeholders import approval_asker
from ..agents.exported_workflow import ExportedWorkflow
from ..agents.state_variables import session_variables
from ..agents.turn_runner import RunInput, RunOptions, turn_runs
from ..conversion.outputs import answers_in_text
from ..errors.author_code import as_exception
from ..errors.failures import NoAnswer
from ..errors.http import AssistantChanged
from ..interactions.approvals import ask_question
from ..memory import turn_transcript
from ..recording.run_recording import ReplayDiverged, RunRecording
from .ending import answer_text, plain_answer
from .run_host import RunHost
from .run_input import Conversation
from .steps import Steps

SHOWN = "shown"
VARIABLES = "variables"


class RunAbandoned(Exception):
    """The workflow no longer waits for the run: it was cancelled, such as by a timeout of the author."""


@dataclass(frozen=True, eq=False)
class _Request:
    """A `Runner.run` that waits for its result."""

    place: int
    """How many runs the workflow started before."""
    agent: Agent[Any]
    input: RunInput
    options: RunOptions
    context: Context
    """The context variables of the caller, such as the current trace."""
    result: "asyncio.Future[RunResultStreaming]"


class WorkflowTurn:
    """One call of a workflow. It is the `TurnRuns` of its task."""

    def __init__(
        self,
        workflow: ExportedWorkflow,
        context: AgentContext,
        host: RunHost,
        conversation: Conversation,
        text: str,
        recording: RunRecording | None = None,
    ) -> None:
        """`recording` is that of the earlier call that this one repeats."""
        self._workflow = workflow
        self._context = context
        self._host = host
        self._conversation = conversation
        self._recording = recording = recording or RunRecording()
        context.record(recording)
        self._variables = recording.memo.setdefault(VARIABLES, dict(host.variables))
        self._input = workflow.make_input(text, self._variables)
        self._requests: asyncio.Queue[_Request | None] = asyncio.Queue()
        self._steps = Steps(context)
        self._shown: list[str] = recording.memo.setdefault(SHOWN, [])
        """The texts of the messages that the turn has shown."""
        self._has_shown_item = recording.is_replaying
        self._is_paused = False

    async def run(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Have `events` stream the run, and return its result. A recorded run is not repeated."""
        place = self._recording.enter(agent)
        if self._recording.is_recorded(place):
            self._conversation.note(input)
            return await self._recording.restore(place, agent, self._run_context(options))
        result: asyncio.Future[RunResultStreaming] = asyncio.get_running_loop().create_future()
        self._requests.put_nowait(_Request(place, agent, input, options, copy_context(), result))
        return await result

    def run_streamed(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Start a run that the workflow reads; only what the workflow returns of it is shown."""
        context = copy_context()
        context.run(turn_runs.set, None)
        context.run(approval_asker.set, None)
        return context.run(self._host.start, agent, input, options)

    async def events(self) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of the turn. Raises what the workflow raises. Closing the iterator stops the workflow."""
        task = asyncio.create_task(self._call(), name="workflow")
        task.add_done_callback(lambda _: self._requests.put_nowait(None))
        try:
            while (request := await self._requests.get()) is not None:
                async for event in self._stream(request):
                    yield event
                if self._is_paused:
                    for event in self._steps.close():
                        yield event
                    return
            async for event in self._end(task):
                yield event
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not log it

    async def _end(self, task: "asyncio.Task[Any]") -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of the end: what the workflow returned, or the question to the user that it waits for."""
        for event in self._steps.close():
            yield event
        if (question := self._recording.question) is not None:
            async for event in ask_question(self._context, question):
                yield event
            return
        if self._recording.divergence is not None:
            raise AssistantChanged from self._recording.divergence
        returned = task.result()
        if self._recording.is_replaying:
            raise AssistantChanged
        for event in self._ending(returned):
            yield event

    async def _call(self) -> Any:
        turn_runs.set(self)
        approval_asker.set(self._recording.ask)
        session_variables.set(self._variables)
        try:
            return await self._workflow.function(self._input)
        except SystemExit as error:
            raise as_exception(error) from error

    async def _stream(self, request: _Request) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Stream one run, and give its result or its error to the workflow."""
        if request.result.cancelled():
            return
        is_step = not answers_in_text(request.agent)
        is_new_step = is_step and not self._recording.is_paused(request.place)  # else it is shown already
        for event in self._steps.start(request.agent.name) if is_new_step else self._steps.close():
            yield event
        try:
            result = await self._start(request)
            async with aclosing(self._host.stream(result, is_step=is_step)) as events:
                async for event in events:
                    self._note(event)
                    yield event
        except (NoAnswer, RunAbandoned):  # the workflow decides what an empty answer means
            pass
        except ReplayDiverged as error:
            raise AssistantChanged from error
        except Exception as error:
            if request.result.done():
                raise
            self._recording.fail(request.place, request.agent, error)
            request.result.set_exception(error)
            return
        for event in self._steps.finish() if is_new_step else []:
            yield event
        self._is_paused = self._must_wait_for(result)
        if not request.result.done() and not self._is_paused:
            self._recording.finish(request.place, request.agent, result)
            request.result.set_result(result)

    def _must_wait_for(self, result: RunResultStreaming) -> bool:
        """Return whether the user or the page must answer first."""
        return bool(result.interruptions or self._context.client_calls or self._context.question_ids)

    async def _start(self, request: _Request) -> RunResultStreaming:
        run_context = self._run_context(request.options)
        if self._recording.is_paused(request.place):
            self._conversation.note(request.input)
            input: RunInput = await self._recording.resume(request.agent, run_context)
        else:
            input = await self._conversation.complete(request.agent, request.input)
        self._recording.begin(request.place, request.agent, run_context)
        self._context.set_starting_agent(request.agent)
        inbox = self._context.inbox

        def give_up(future: "asyncio.Future[RunResultStreaming]") -> None:
            if future.cancelled():
                inbox.put_nowait(RunEnd(RunAbandoned()))

        request.result.add_done_callback(give_up)
        request.context.run(turn_runs.set, None)
        request.context.run(approval_asker.set, None)
        return request.context.run(self._host.start, request.agent, input, request.options)

    def _run_context(self, options: RunOptions) -> Any:
        own = options.get("context")
        return self._context if own is None else own

    def _note(self, event: ThreadStreamEvent) -> None:
        self._has_shown_item = True
        if isinstance(event, ThreadItemDoneEvent) and isinstance(event.item, AssistantMessageItem):
            self._shown.append("".join(part.text for part in event.item.content).strip())

    def _ending(self, returned: Any) -> list[ThreadStreamEvent]:
        """Return the events that show what the workflow returned, if nothing has shown it."""
        if returned == self._input.model_dump():  # an end node that passes on what the workflow began with
            returned = None
        plain = plain_answer(returned)
        text = answer_text(returned, self._host.output_text).strip()
        if not text or text in self._shown or (plain is not None and plain.strip() in self._shown):
            if not self._has_shown_item and not text:
                raise NoAnswer("the workflow ended without an answer")
            return []
        item = AssistantMessageItem(
            id=self._context.generate_id("message"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text=text)],
        )
        if (transcript := turn_transcript.get()) is not None:
            transcript.add_shown(item.id)
        return [ThreadItemAddedEvent(item=item.model_copy(update={"content": []})), ThreadItemDoneEvent(item=item)]
