"""Run an exported workflow for one message, and stream the agents that it runs.

The function runs in a task. Each `Runner.run` in it waits until `events` has streamed that run: so the events of a turn
have one order, also if the workflow starts two runs at once. A workflow that waits for the user ends; once the user has
answered, it is called again with a recording of its runs.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from contextvars import Context, copy_context
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

from ..agent_context import AgentContext, RunEnd, turn_context
from ..agents.approval_placeholders import approval_asker
from ..agents.exported_workflow import ExportedWorkflow
from ..agents.guardrail_helpers import tripwire_listener
from ..agents.state_variables import session_variables
from ..agents.turn_runner import RunInput, RunOptions, turn_runs
from ..conversion.outputs import answers_in_text
from ..errors.author_code import AuthorCodeError
from ..errors.failures import NoAnswer
from ..errors.http import AssistantChanged
from ..interactions.approvals import ask_question
from ..memory import turn_transcript
from ..recording.late_result import blank_result, late_result
from ..recording.run_recording import ReplayDiverged, RunRecording
from .ending import answer_text, failed_checks, passes_on
from .followed_run import FollowedRun
from .run_host import RunHost
from .run_input import Conversation
from .run_request import RunRequest
from .shown_answers import ShownAnswers
from .steps import Steps

logger = logging.getLogger(__name__)

SHOWN = "shown"
VARIABLES = "variables"

Events = AsyncGenerator[ThreadStreamEvent, None]


class RunAbandoned(Exception):
    """The workflow no longer waits for the run: it was cancelled, such as by a timeout of the author."""


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
        self._requests: asyncio.Queue[RunRequest | None] = asyncio.Queue()
        self._waiting: set[RunRequest] = set()
        """The runs that have no result yet."""
        self._current: RunRequest | None = None
        """The run that is streamed now."""
        self._steps = Steps(context)
        self._shown = ShownAnswers(recording.memo.setdefault(SHOWN, {}), text)
        self._is_repeated = recording.is_replaying
        self._is_over = False
        """The workflow gets no more runs: the turn ends, whatever it still does."""
        self._has_returned = False
        self._late_agents: set[str] = set()
        """The agents that tasks of the workflow have asked for after its end."""

    async def run(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Have `events` stream the run, and return its result. A recorded run is not repeated."""
        place = self._recording.enter(agent)
        if self._recording.is_recorded(place):
            self._conversation.note(input)
            return await self._repeat(place, agent, options)
        if self._is_over:
            self._note_late_run(agent)
            await asyncio.sleep(0)  # so that code which asks again and again does not block the server
            raise asyncio.CancelledError
        return await self._request(place, agent, input, options).result

    def run_streamed(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunResultStreaming:
        """Start a run whose events the workflow reads, too. A recorded one has no events."""
        if self._is_over:
            self._note_late_run(agent)
            raise asyncio.CancelledError
        place = self._recording.enter(agent)
        if self._recording.is_recorded(place):
            self._conversation.note(input)
            return late_result(agent, lambda: self._repeat(place, agent, options))
        if self._recording.is_paused(place):
            run = blank_result(agent)
        else:
            before_model = self._conversation.completion(options)
            run = self._nested_context().run(self._host.start, agent, input, options, before_model=before_model)
        followed = FollowedRun(run)
        request = self._request(place, agent, input, options, followed)
        request.result.add_done_callback(lambda result: result.cancelled() or result.exception())
        return followed

    async def _repeat(self, place: str, agent: Agent[Any], options: RunOptions) -> RunResultStreaming:
        """Return the result of a recorded run, or raise its error."""
        result = await self._recording.restore(place, agent, self._run_context(options))
        self._shown.repeat(result.final_output, is_step=not answers_in_text(agent))
        return result

    def _request(
        self,
        place: str,
        agent: Agent[Any],
        input: RunInput,
        options: RunOptions,
        followed: FollowedRun | None = None,
    ) -> RunRequest:
        result: asyncio.Future[RunResultStreaming] = asyncio.get_running_loop().create_future()
        request = RunRequest(place, agent, input, options, self._nested_context(), result, followed)
        self._waiting.add(request)
        result.add_done_callback(lambda _: self._waiting.discard(request))
        self._requests.put_nowait(request)
        return request

    def _nested_context(self) -> Context:
        """Return the current context variables, for a run. What its tools run is not ours to show."""
        context = copy_context()
        context.run(turn_runs.set, self._host.nested_runs)
        context.run(approval_asker.set, None)
        context.run(turn_context.set, self._context)
        return context

    async def events(self) -> Events:
        """Yield the events of the turn. Raises what the workflow raises. Closing the iterator stops the workflow."""
        task = asyncio.create_task(self._call(), name="workflow")
        task.add_done_callback(lambda _: self._requests.put_nowait(None))
        is_complete = False
        try:
            async with aclosing(self._until_over(task)) as events:
                async for event in events:
                    yield event
            is_complete = True
        except Exception:
            for event in self._steps.close():
                yield event
            raise
        finally:
            await self._stop(task, is_complete=is_complete)

    async def _until_over(self, task: "asyncio.Task[Any]") -> Events:
        while (request := await self._requests.get()) is not None:
            async with aclosing(self._stream(request)) as events:
                async for event in events:
                    yield event
            if self._is_over:
                for event in self._steps.close():
                    yield event
                return
        async for event in self._end(task):
            yield event

    async def _stop(self, task: "asyncio.Task[Any]", *, is_complete: bool) -> None:
        """Stop the workflow, and whatever waits for a run, such as a task that it has started and left alone."""
        self._is_over = True
        task.cancel()
        for request in list(self._waiting):
            self._note_late_run(request.agent)
            request.result.cancel()
            if request.followed is not None:
                request.followed.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it
        await self._host.close(is_stopped=not is_complete)

    def _note_late_run(self, agent: Agent[Any]) -> None:
        """Tell the author of a run that cannot begin: a task of the workflow asks for it, but it has returned."""
        if self._has_returned and agent.name not in self._late_agents:
            self._late_agents.add(agent.name)
            logger.warning(
                "%s has returned, so a task that it started can no longer run the agent %r and is cancelled: "
                "await such tasks before the function returns (docs/workflows.md).",
                self._workflow.title,
                agent.name,
            )

    async def _end(self, task: "asyncio.Task[Any]") -> Events:
        """Yield the events of the end: what the workflow returned, or the question to the user that it waits for."""
        for event in self._steps.close():
            yield event
        if (question := self._recording.question) is not None:
            async for event in ask_question(self._context, question):
                yield event
            return
        if self._recording.divergence is not None:
            raise AssistantChanged from self._recording.divergence
        if task.cancelled():
            raise AuthorCodeError("the workflow was cancelled from inside")
        returned = task.result()
        self._has_returned = True
        if self._recording.is_replaying:
            raise AssistantChanged
        for event in self._ending(returned):
            yield event

    async def _call(self) -> Any:
        turn_runs.set(self)
        approval_asker.set(self._recording.ask)
        session_variables.set(self._variables)
        tripwire_listener.set(self._conversation.leave_out_message)
        return await self._workflow.function(self._input)

    async def _stream(self, request: RunRequest) -> Events:
        """Stream one run, and give its result or its error to the workflow."""
        if request.result.done():
            return
        is_step = not answers_in_text(request.agent)
        is_new_step = is_step and not self._recording.is_paused(request.place)  # else it is shown already
        for event in self._steps.start(request.agent.name) if is_new_step else self._steps.close():
            yield event
        self._current = request
        request.result.add_done_callback(self._give_up)
        result: RunResultStreaming | None = None
        failure: Exception | None = None
        try:
            result = await self._start(request)
            async with aclosing(self._host.stream(result, is_step=is_step)) as events:
                async for event in events:
                    for passed in self._pass(event):
                        yield passed
        except NoAnswer:  # the workflow decides what an empty answer means
            pass
        except ReplayDiverged as error:
            raise AssistantChanged from error
        except Exception as error:
            failure = error
        finally:
            self._current = None
        for event in self._steps.finish(has_failed=failure is not None) if is_new_step else []:
            yield event
        self._finish(request, result, failure)

    def _pass(self, event: ThreadStreamEvent) -> list[ThreadStreamEvent]:
        """Note an event of a run. An answer closes the block of steps: it may come from another agent, by a handoff."""
        self._shown.note(event)
        is_message = isinstance(event, ThreadItemAddedEvent) and isinstance(event.item, AssistantMessageItem)
        return [*(self._steps.finish() + self._steps.close() if is_message else []), event]

    def _finish(self, request: RunRequest, result: RunResultStreaming | None, failure: Exception | None) -> None:
        """Give the workflow what it waits for."""
        if failure is not None:
            if request.followed is not None:
                request.followed.end(failure)
            if not request.result.done():
                self._recording.fail(request.place, failure)
                request.result.set_exception(failure)
            return
        assert result is not None
        # A refusal and a cut answer end the run with an error, but they are the answer.
        self._is_over = self._must_wait_for(result) or result.run_loop_exception is not None
        if not answers_in_text(request.agent):
            self._shown.note_output(result.final_output)
        if not self._is_over and request.followed is not None:  # else it waits for more events until it is cancelled
            request.followed.end(None)
        if not self._is_over and not request.result.done():
            self._recording.finish(request.place, result)
            request.result.set_result(result)

    def _must_wait_for(self, result: RunResultStreaming) -> bool:
        """Return whether the user or the page must answer first."""
        return bool(result.interruptions or self._context.client_calls or self._context.question_ids)

    async def _start(self, request: RunRequest) -> RunResultStreaming:
        run_context = self._run_context(request.options)
        self._recording.begin(request.place, run_context)
        self._context.set_starting_agent(request.agent)
        is_paused = self._recording.is_paused(request.place)
        if request.followed is not None and not is_paused:
            return request.followed.run
        if is_paused:
            self._conversation.note(request.input)
            input: RunInput = await self._recording.resume(request.agent, run_context)
        else:
            input = await self._conversation.complete(request.agent, request.input, request.options)
        run: RunResultStreaming = request.context.run(self._host.start, request.agent, input, request.options)
        if request.followed is not None:
            request.followed.follow(run)
        return run

    def _give_up(self, result: "asyncio.Future[RunResultStreaming]") -> None:
        """End the current run if nothing waits for it any more."""
        if result.cancelled() and self._current is not None and self._current.result is result:
            self._context.inbox.put_nowait(RunEnd(RunAbandoned()))

    def _run_context(self, options: RunOptions) -> Any:
        own = options.get("context")
        return self._context.run_context if own is None else own

    def _ending(self, returned: Any) -> list[ThreadStreamEvent]:
        """Return the events that show what the workflow returned, if nothing has shown it."""
        if failed_checks(returned):
            self._conversation.leave_out_message()
        if isinstance(fields := _fields(returned), Mapping) and self._shown.has_followed(fields):
            returned = {}
        elif passes_on(returned, self._shown.unread):
            returned = self._shown.unread
        shown, known, render = self._shown.texts, self._shown.known_texts, self._host.output_text
        text = answer_text(returned, render, shown, known) or answer_text(self._unread(returned), render, shown)
        if not text:
            if self._shown.is_empty and not self._is_repeated:
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

    def _unread(self, returned: Any) -> Any:
        """Return the output of the last step, if the workflow returns nothing that shows it: some exports do."""
        return self._shown.unread if returned is None or self._shown.is_empty else None


def _fields(returned: Any) -> Any:
    """Return the data of what a workflow returns."""
    return returned.get("output_parsed", returned) if isinstance(returned, Mapping) else None
