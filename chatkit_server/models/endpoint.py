"""Models of OpenAI and of any endpoint that speaks one of its two APIs."""

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from hashlib import sha256
from typing import Any, Literal

import openai
from agents import Model, ModelProvider, ModelResponse, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.models.default_models import get_default_model_settings

from .tap import tapped

Api = Literal["responses", "chat_completions"]


class EndpointProvider(ModelProvider):
    """Models of one endpoint. An agent that names a model gets that one, any other agent the settings' one."""

    def __init__(self, client: openai.AsyncOpenAI, *, name: str, api: Api, choices: Collection[str] = ()) -> None:
        """`choices` are names that stand for the settings' one where a user chose them."""
        self._client = client
        self._name = name
        self._api = api
        self._choices = frozenset(choices)

    def get_model(self, model_name: str | None) -> Model:
        """The model called `model_name`, or the settings' one for None. Whether it exists, its first call tells."""
        kind = _ResponsesModel if self._api == "responses" else _ChatCompletionsModel
        model = kind(model_name or self._name, self._client)
        model.is_default = model_name is None or model_name in self._choices
        return model


def fit_settings(settings: ModelSettings, name: str) -> ModelSettings:
    """`settings` without what the Agents SDK put in for *its* default model, and with what it would for `name`.

    An agent without a model gets the settings of the SDK's own default (agents 0.24: no reasoning, low verbosity).
    They would go to whatever model answers in its place, and an endpoint that does not know them refuses the call.
    """
    implicit, fitting = get_default_model_settings(), get_default_model_settings(name)
    if (settings.reasoning, settings.verbosity) != (implicit.reasoning, implicit.verbosity):
        return settings
    return replace(settings, reasoning=fitting.reasoning, verbosity=fitting.verbosity)


class _EndpointModel(Model):
    """Mixin: a model that its run can tap, and the settings' one gets settings that fit it."""

    model: Any
    is_default = False

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        fitted = self._fit(model_settings)
        return await super().get_response(system_instructions, input, fitted, *args, **kwargs)  # type: ignore[safe-super]  # a mixin: the next class has it

    def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        fitted = self._fit(model_settings)
        return tapped(super().stream_response(system_instructions, input, fitted, *args, **kwargs))  # type: ignore[safe-super]  # as above

    def _fit(self, settings: ModelSettings) -> ModelSettings:
        return fit_settings(settings, str(self.model)) if self.is_default else settings


class _ResponsesModel(_EndpointModel, OpenAIResponsesModel):
    """Over the Responses API."""

    @property
    def origin(self) -> str:
        """The model, with a fingerprint of the account that it is asked in: another one does not know its ids."""
        client = self._client
        account = sha256(f"{client.base_url} {client.organization} {client.project} {client.api_key}".encode())
        return f"{self.model} {account.hexdigest()[:12]}"


class _ChatCompletionsModel(_EndpointModel, OpenAIChatCompletionsModel):
    """Over Chat Completions."""
