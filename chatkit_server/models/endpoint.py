"""Provide models of OpenAI and of endpoints compatible with one of its two APIs."""

from collections.abc import AsyncIterator, Collection, Iterable
from copy import copy
from functools import cached_property, lru_cache, partial
from hashlib import sha256
from typing import Any, Literal

import agents._debug
import agents.items
import agents.models.openai_responses
import openai
from agents import (
    Model,
    ModelProvider,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Tool,
)
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.models.default_models import get_default_model, get_default_model_settings
from openai.types.responses import ResponseCompletedEvent, ResponseFunctionToolCall, ResponseOutputItemDoneEvent

from chatkit_store import clean_body

from ..fast_path.tap import tapped
from .client.events import FastEventsClient
from .client.prepared_calls import HAS_MODEL_PARTS
from .client.quick_walk import replaced_walks
from .client.text_calls import HAS_STREAM, TextCalls
from .client.wire_items import FittedItems
from .incoming.answer_state import AnswerState, answer_state, used_call_ids
from .returned_fields import EmittedFields, emitted_fields, fields_to_return, returned_fields

Api = Literal["responses", "chat_completions"]
MAX_MODELS = 64
"""Models of one endpoint that are kept."""


class EndpointProvider(ModelProvider):
    """Models of one endpoint: the one an agent names, else the default from the settings."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        *,
        name: str,
        api: Api,
        choices: Collection[str] = (),
        is_tapped: bool = True,
    ) -> None:
        """`choices` are model names that users may select; they are treated like the default model.

        Runs listen to their models directly if `is_tapped`.
        """
        self._client = client
        self._name = name
        self._api = api
        self._choices = frozenset(choices)
        self.is_tapped = is_tapped
        self._models: dict[str | None, Model] = {}

    def get_model(self, model_name: str | None) -> Model:
        """Return the model called `model_name`, or the default model for None.

        An unknown name is only detected by the first call.
        """
        if (cached := self._models.get(model_name)) is not None:
            return cached
        kind = _ResponsesModel if self._api == "responses" else _ChatCompletionsModel
        model = kind(model_name or self._name, self._client)
        model.is_default = model_name is None or model_name in self._choices
        model.is_tapped = self.is_tapped
        if len(self._models) >= MAX_MODELS:  # an agent may make up names
            self._models.clear()
        self._models[model_name] = model
        return model


def fit_settings(settings: ModelSettings, name: str) -> ModelSettings:
    """Replace the settings meant for the Agents SDK's default model with those meant for the model `name`.

    An agent without a model gets the settings of the SDK's own default (agents 0.24: no reasoning, low verbosity).
    An endpoint that does not know these settings would reject the call. Explicit settings stay unchanged.
    """
    sdk_default = _default_settings(get_default_model())
    if settings.verbosity != sdk_default.verbosity or settings.reasoning != sdk_default.reasoning:
        return settings
    model_default = _default_settings(name)
    fitted = copy(settings)  # its constructor would validate 25 fields
    fitted.reasoning, fitted.verbosity = copy(model_default.reasoning), model_default.verbosity
    return fitted


@lru_cache(maxsize=MAX_MODELS)
def _default_settings(name: str) -> ModelSettings:
    """Return the settings for a model. The Agents SDK copies them deeply at each call."""
    return get_default_model_settings(name)


def _prepare(fields: EmittedFields | None, state: AnswerState, event: TResponseStreamEvent) -> None:
    """Complete an event before anything else gets it: its function calls, and why the answer is incomplete."""
    if isinstance(event, ResponseOutputItemDoneEvent):
        _clean_arguments([event.item])
    elif isinstance(event, ResponseCompletedEvent):
        _clean_arguments(event.response.output)
        state.note_cut(event)
    if fields is not None:
        fields.prepare(event)


def _clean_arguments(output: Iterable[object]) -> None:
    """Clean the text in the arguments of function calls: half of a character would fail the turn."""
    for item in output:
        if isinstance(item, ResponseFunctionToolCall):
            item.arguments = clean_body(item.arguments.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


class _EndpointModel(Model):
    """Mixin: makes a model's stream tappable and fits the settings of the default model."""

    model: Any
    is_default = False
    is_tapped = True

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        fitted = self._fit(model_settings)
        fields = self._begin(input)
        response = await super().get_response(system_instructions, input, fitted, *args, **kwargs)  # type: ignore[safe-super]  # a mixin: the next class in the MRO has it
        _clean_arguments(response.output)
        if fields is not None:
            fields.attach_to(response.output)
        return response

    def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        fitted = self._fit(model_settings)
        fields = self._begin(input)
        state = AnswerState(used_call_ids(input))
        answer_state.set(state)
        events = super().stream_response(system_instructions, input, fitted, *args, **kwargs)  # type: ignore[safe-super]  # as above
        return tapped(events, partial(_prepare, fields, state), is_on=self.is_tapped)

    def _begin(self, input: str | list[TResponseInputItem]) -> EmittedFields | None:
        """Prepare a call with this input; return what collects the fields that its answer needs back later, if any."""
        return None

    def _fit(self, settings: ModelSettings) -> ModelSettings:
        return fit_settings(settings, str(self.model)) if self.is_default else settings


class _ResponsesModel(_EndpointModel, OpenAIResponsesModel):
    """A model behind the Responses API."""

    _fitted: tuple[ModelSettings, ModelSettings] | None = None
    """The settings of the last call of `stream_text`, and what became of them. Nobody changes them."""

    def stream_text(
        self, instructions: str | None, input: list[Any], model_settings: ModelSettings, tools: list[Tool]
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Return what `stream_response` returns, for a call whose tools are functions, without tracing.

        The turn gets empty events for those that it does not read (`client.text_calls.UNREAD`).
        """
        if self._fitted is None or self._fitted[0] is not model_settings:
            self._fitted = model_settings, self._fit(model_settings)
        fitted, calls = self._fitted[1], self._text_calls
        stock = partial(self._stock_events, instructions, input, fitted, tools)
        state = AnswerState(used_call_ids(input))
        answer_state.set(state)
        events = (
            calls.stream(instructions, input, fitted, tools, stock)
            if calls is not None and type(input) is FittedItems
            else stock()
        )
        return tapped(events, partial(_prepare, None, state), is_on=self.is_tapped)

    def _stock_events(
        self, instructions: str | None, input: list[Any], settings: ModelSettings, tools: list[Tool]
    ) -> AsyncIterator[TResponseStreamEvent]:
        return OpenAIResponsesModel.stream_response(
            self, instructions, input, settings, tools, None, [], ModelTracing.DISABLED
        )

    @cached_property
    def _text_calls(self) -> TextCalls | None:
        client = self._client
        if HAS_MODEL_PARTS and HAS_STREAM and isinstance(client, FastEventsClient):
            return TextCalls(self, client.responses)
        return None

    @property
    def takes_packed(self) -> bool:
        """Whether an input with stand-ins (`client/packed_items.py`) reaches our client: the Agents SDK does not copy
        it, as long as it uses our walk, nor log it."""
        walks = (agents.items, agents.models.openai_responses)
        return (
            isinstance(self._client, FastEventsClient)
            and all(walk in replaced_walks for walk in walks)
            and getattr(agents._debug, "DONT_LOG_MODEL_DATA", False) is True
        )

    @cached_property
    def origin(self) -> str:
        """The model's name and a fingerprint of the account: item ids are only valid within one account."""
        client = self._client
        account = sha256(f"{client.base_url} {client.organization} {client.project} {client.api_key}".encode())
        return f"{self.model} {account.hexdigest()[:12]}"


class _ChatCompletionsModel(_EndpointModel, OpenAIChatCompletionsModel):
    """A model behind Chat Completions. Its endpoint gets back what it attached to its tool calls."""

    def __init__(self, name: str, client: openai.AsyncOpenAI) -> None:
        super().__init__(name, client, should_replay_reasoning_content=lambda context: False)
        self._origin = f"{name} {sha256(str(client.base_url).encode()).hexdigest()[:12]}"

    def _begin(self, input: str | list[TResponseInputItem]) -> EmittedFields:
        fields = EmittedFields(self._origin)
        emitted_fields.set(fields)
        fields_to_return.set(returned_fields(input, self._origin))
        return fields
