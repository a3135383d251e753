"""Adapt the child process's Chat Completions to the Agents SDK's `Model`, leaving out what the model cannot do.

Its tool calls do not work, so it gets no tools or handoffs; an agent that has some can still chat.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import openai
from agents import (
    Handoff,
    Model,
    ModelProvider,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    OpenAIChatCompletionsModel,
    Tool,
)
from agents.agent_output import AgentOutputSchemaBase
from agents.items import TResponseInputItem, TResponseStreamEvent

from ...errors.failures import EmbeddedModelError
from ...fast_path.tap import tapped
from ..incoming.answer_state import AnswerState, answer_state
from .context_window import MESSAGE_TOKENS, cut_text, read_messages, trim_messages
from .process import Child, EmbeddedProcess

logger = logging.getLogger(__name__)

MAX_TOKENS = 256
"""Default length limit of an answer."""
CACHED_COUNTS = 4096


class EmbeddedModel(Model):
    """Chats with the child process; restarts it once if it ended before the answer began."""

    def __init__(self, process: EmbeddedProcess, *, name: str, context: int, is_tapped: bool = True) -> None:
        """Runs listen to the model directly if `is_tapped`."""
        self._process = process
        self._name = name
        self._context = context
        self._is_tapped = is_tapped
        self._counts: dict[str, int] = {}

    def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        **kwargs: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the events of the answer. Raises `EmbeddedModelError` and what the openai client raises."""
        events = self._events(system_instructions, input, self._fit(model_settings), output_schema, tracing)
        return tapped(events, is_on=self._is_tapped)

    async def _events(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        settings: ModelSettings,
        output_schema: AgentOutputSchemaBase | None,
        tracing: ModelTracing,
    ) -> AsyncIterator[TResponseStreamEvent]:
        for is_last_try in (False, True):
            child = await self._process.child()
            state = AnswerState()
            answer_state.set(state)
            has_begun = False
            try:
                system, items = await self._trim(child, system_instructions, input, settings)
                async for event in self._chat(child).stream_response(
                    system, items, settings, [], output_schema, [], tracing
                ):
                    has_begun = True
                    state.note_cut(event)
                    yield event
                return
            except openai.APIConnectionError as error:
                explained = await _explain(child, error)  # also waits for the exit of a child that died
                if has_begun or is_last_try or isinstance(error, openai.APITimeoutError):
                    raise explained from error

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        **kwargs: Any,
    ) -> ModelResponse:
        """Return the whole answer. Raises `EmbeddedModelError` and what the openai client raises."""
        settings = self._fit(model_settings)
        for is_last_try in (False, True):
            child = await self._process.child()
            try:
                system, items = await self._trim(child, system_instructions, input, settings)
                return await self._chat(child).get_response(system, items, settings, [], output_schema, [], tracing)
            except openai.APIConnectionError as error:
                explained = await _explain(child, error)
                if is_last_try or isinstance(error, openai.APITimeoutError):
                    raise explained from error
        raise AssertionError("unreachable: the last try returned or raised")

    def _chat(self, child: Child) -> OpenAIChatCompletionsModel:
        assert child.client
        return OpenAIChatCompletionsModel(self._name, child.client)

    def _fit(self, settings: ModelSettings) -> ModelSettings:
        """Remove settings for tools and reasoning, and limit the answer to half of the context."""
        max_tokens = min(settings.max_tokens or MAX_TOKENS, self._context // 2)
        return replace(
            settings, max_tokens=max_tokens, tool_choice=None, parallel_tool_calls=None, reasoning=None, verbosity=None
        )

    async def _trim(
        self, child: Child, system: str | None, input: str | list[TResponseInputItem], settings: ModelSettings
    ) -> tuple[str | None, list[TResponseInputItem]]:
        async def count(text: str) -> int:
            return await self._count(child, text)

        budget = self._context - (settings.max_tokens or MAX_TOKENS) - 2 * MESSAGE_TOKENS
        if system:
            if len(system.encode()) > budget // 2:
                system = await cut_text(system, budget=budget // 2, count=count)
            budget -= min(len(system.encode()), await count(system))
        messages = await trim_messages(read_messages(input), budget=budget, count=count)
        return system, [message.to_item() for message in messages]

    async def _count(self, child: Child, text: str) -> int:
        """Return the number of tokens in `text`, as counted by the engine."""
        if text not in self._counts:
            assert child.client
            response = await child.client.post(f"{child.url}/tokenize", cast_to=object, body={"content": text})
            if len(self._counts) >= CACHED_COUNTS:
                self._counts.clear()
            self._counts[text] = len(response["tokens"])  # type: ignore[index]  # cast_to=object returns the parsed JSON
        return self._counts[text]


class EmbeddedProvider(ModelProvider):
    """Provides the embedded model to every agent; logs a warning if an agent names another model."""

    def __init__(self, model: EmbeddedModel, name: str) -> None:
        self._model = model
        self._expected_names: set[str | None] = {None, "embedded", name}

    def get_model(self, model_name: str | None) -> Model:
        """Return the embedded model, whatever the name."""
        if model_name not in self._expected_names:
            self._expected_names.add(model_name)
            logger.warning("an agent names the model %s; the embedded model answers instead", model_name)
        return self._model


async def _explain(child: Child, error: openai.APIConnectionError) -> openai.APIConnectionError:
    """Return an error that says the child process ended, if that is the cause; else `error`."""
    if isinstance(error, openai.APITimeoutError) or not await child.has_ended():
        return error
    code = child.process.returncode
    return EmbeddedModelError(
        f"The embedded model ended (code {code}) while it answered. It is restarted for the next message."
    )
