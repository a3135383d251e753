"""Make the model call of a plain answer without the Agents SDK's run loop.

`Runner.run_streamed` (agents 0.24) is a fifth of what a short turn costs: it copies the input four times, serializes
the agent twice, and keeps a task, three queues and their frames while the model writes. A plain answer needs none of
that: if no code of the author's runs before the model has answered, and the answer calls no tool, a run is one model
call. So we make that call, as the Runner would (`planned_call.py`).

If the response is anything else, such as a tool call, a refusal or an error, the Runner takes over: it gets the same
response again, so that the model is asked only once. It acts only upon whole responses, so nothing happens later.
"""

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cached_property
from typing import Any, Literal, cast

from agents import (
    Agent,
    AgentUpdatedStreamEvent,
    InputGuardrailResult,
    ItemHelpers,
    MessageOutputItem,
    Model,
    ModelProvider,
    ReasoningItem,
    RunConfig,
    RunContextWrapper,
    RunItem,
    Runner,
    RunResultStreaming,
    StreamEvent,
    ToolApprovalItem,
)
from agents.stream_events import RawResponsesStreamEvent
from openai.types.responses import Response, ResponseOutputMessage, ResponseReasoningItem

from ..agent_context import AgentContext, in_turn
from ..fast_path.tap import share_tap
from ..models.client.packed_items import unpacked
from .first_response import FirstResponse
from .planned_call import PlannedCall, plan_call, usage_of

StartRunner = Callable[[RunConfig], RunResultStreaming]
"""Starts the Runner's run of the same agent and input with this configuration, in a task of its own."""
CancelMode = Literal["immediate", "after_turn"]


def start_run(
    agent: Agent[Any], input: list[Any], agent_context: AgentContext, config: RunConfig, *, max_turns: int
) -> RunResultStreaming:
    """Return a run for `stream_agent_response`: the Runner's, or a `DirectRun`, which begins as it is read.

    `input` may have stand-ins (`models.client.packed_items`).
    """
    run_context = agent_context.run_context

    def start_runner(config: RunConfig) -> RunResultStreaming:
        return in_turn(agent_context).run(
            Runner.run_streamed, agent, unpacked(input), context=run_context, max_turns=max_turns, run_config=config
        )

    call = plan_call(agent, config)
    if call is None or not call.takes_packed:
        input = unpacked(input)
    if call is None:
        return start_runner(config)
    run = DirectRun(agent, input, run_context, config, call, start_runner)
    return cast(RunResultStreaming, run)  # it has what a turn reads of one


class DirectRun:
    """What a turn reads of a `RunResultStreaming`: first of our own call of the model, then of the Runner's run."""

    def __init__(
        self,
        agent: Agent[Any],
        input: list[Any],
        context: Any,
        config: RunConfig,
        call: PlannedCall,
        start_runner: StartRunner,
    ) -> None:
        self._agent = agent
        self._input = input
        self._context = context
        self._config = config
        self._call = call
        self._start_runner = start_runner
        self._items: list[RunItem] = []
        self._output: str | None = None
        self._run: RunResultStreaming | None = None
        self._cancel_mode: CancelMode | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what else the Runner's result has. Raises `AttributeError` as long as there is none."""
        if name.startswith("_") or self._run is None:
            raise AttributeError(name)
        return getattr(self._run, name)

    @property
    def current_agent(self) -> Agent[Any]:
        """The agent that answers now."""
        return self._agent if self._run is None else self._run.current_agent

    @property
    def context_wrapper(self) -> RunContextWrapper[Any]:
        """The context of the run, with its usage."""
        return self._own_wrapper if self._run is None else self._run.context_wrapper

    @cached_property
    def _own_wrapper(self) -> RunContextWrapper[Any]:
        return RunContextWrapper(self._context)  # only when it is needed: it takes 2 KiB

    @property
    def new_items(self) -> list[RunItem]:
        """The items of the run so far."""
        return self._items if self._run is None else self._run.new_items

    @property
    def final_output(self) -> Any:
        """The output of a run that has ended, else None."""
        return self._output if self._run is None else self._run.final_output

    @property
    def interruptions(self) -> list[ToolApprovalItem]:
        """The calls that wait for an approval."""
        return [] if self._run is None else self._run.interruptions

    @property
    def input_guardrail_results(self) -> list[InputGuardrailResult]:
        """The results of the guardrails that have ended."""
        return [] if self._run is None else self._run.input_guardrail_results

    @property
    def run_loop_task(self) -> asyncio.Task[Any] | None:
        """The Runner's task; None while the reader of `stream_events` makes the call."""
        return None if self._run is None else self._run.run_loop_task

    def cancel(self, mode: CancelMode = "immediate") -> None:
        """See `RunResultStreaming.cancel`. Our own call ends with the task that reads it."""
        self._cancel_mode = mode
        if self._run is not None:
            self._run.cancel(mode=mode)

    async def stream_events(self) -> AsyncGenerator[StreamEvent, None]:
        """Yield what `RunResultStreaming.stream_events` yields, but no events of finished messages and thoughts.

        Raises what the Runner raises.
        """
        yield AgentUpdatedStreamEvent(new_agent=self._agent)
        first = FirstResponse(self._call.model, self._call.stream(self._input))
        async with aclosing(first.read()) as events:
            async for event in events:
                yield RawResponsesStreamEvent(data=event)
        if (response := first.plain_answer) is not None:
            self._finish(response)
            return
        async for run_event in self._take_over(first):
            yield run_event

    def _finish(self, response: Response) -> None:
        """Record a plain answer as the Runner would."""
        for item in response.output:
            if isinstance(item, ResponseOutputMessage):
                self._items.append(MessageOutputItem(self._agent, item))
                self._output = ItemHelpers.extract_text(item) or ""
            elif isinstance(item, ResponseReasoningItem):
                self._items.append(ReasoningItem(self._agent, item))
        self._own_wrapper.usage = usage_of(response)  # to add it to none copies it deeply

    async def _take_over(self, first: FirstResponse) -> AsyncGenerator[StreamEvent, None]:
        """Yield the events of the Runner's run, without those that were yielded before."""
        config = copy.copy(self._config)  # its constructor resolves the type hints of all its fields
        config.model_provider = _FirstFrom(first, config.model_provider)
        self._run = run = self._start_runner(config)
        self._call.keep_cache_key(run)
        share_tap(run.run_loop_task)
        if self._cancel_mode is not None:
            run.cancel(mode=self._cancel_mode)
        yielded = {id(event) for event in first.kept}
        is_begun = False
        async for event in run.stream_events():
            if isinstance(event, RawResponsesStreamEvent) and id(event.data) in yielded:
                continue
            if isinstance(event, AgentUpdatedStreamEvent) and not is_begun:
                is_begun = True
                continue
            yield event


class _FirstFrom(ModelProvider):
    """The provider of a run whose first response is there already."""

    def __init__(self, first: Model, provider: ModelProvider) -> None:
        self._first: Model | None = first
        self._provider = provider

    def get_model(self, model_name: str | None) -> Model:
        """Return the first response as a model for the first call, and then the provider's models."""
        first, self._first = self._first, None
        return first or self._provider.get_model(model_name)
