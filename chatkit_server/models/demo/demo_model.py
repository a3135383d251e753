"""`agents.Model` that plays a script at a human pace. Deterministic but for ids and times."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import openai
from agents import Model, ModelProvider, ModelResponse, ModelSettings, Tool, Usage
from agents.items import TResponseInputItem
from openai.types.responses import (
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
)

from .answer_events import ResponseScript
from .conversation import read_conversation
from .pace import Pace
from .pieces import split_pieces
from .script import Call, Fail, Say, Step, Think, make_script
from .texts import ERROR_MESSAGE

DELTAS = ResponseTextDeltaEvent | ResponseReasoningSummaryTextDeltaEvent | ResponseFunctionCallArgumentsDeltaEvent


class DemoModel(Model):
    """Plays what `script.make_script` says, token by token."""

    def __init__(self, *, tokens_per_second: float, name: str = "demo") -> None:
        self._tokens_per_second = tokens_per_second
        self._name = name

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        """The events of the answer. Raises an `openai.APIError` where the message asks for an error."""
        pace = Pace(self._tokens_per_second)
        for event in self._events(input, tools):
            if isinstance(event, DELTAS):
                await pace.wait()
            yield event

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        """The whole answer at once. Raises an `openai.APIError` where the message asks for an error."""
        await asyncio.sleep(0)
        *_, last = self._events(input, tools)
        assert last.type == "response.completed"
        response, usage = last.response, last.response.usage
        assert usage is not None
        return ModelResponse(
            output=response.output,
            response_id=response.id,
            usage=Usage(
                requests=1,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                total_tokens=usage.total_tokens,
            ),
        )

    def _events(self, input: str | list[TResponseInputItem], tools: list[Tool]) -> Iterator[ResponseStreamEvent]:
        conversation = read_conversation(input)
        script = ResponseScript(model=self._name, input_tokens=len(split_pieces(str(input))))
        yield from script.start()
        for step in make_script(conversation, [tool.name for tool in tools]):
            yield from _play(script, step)
        yield from script.complete()


class DemoProvider(ModelProvider):
    """Every name is the demo model, so that an agent with a named model can be tried without a key."""

    def __init__(self, *, tokens_per_second: float) -> None:
        self._model = DemoModel(tokens_per_second=tokens_per_second)

    def get_model(self, model_name: str | None) -> Model:
        """The demo model, whatever the name."""
        return self._model


def _play(script: ResponseScript, step: Step) -> Iterator[ResponseStreamEvent]:
    match step:
        case Think(text):
            return script.think(text)
        case Say(text):
            return script.say(text)
        case Call(name, arguments):
            return script.call(name, arguments)
        case Fail(status):
            raise _provider_error(status)


def _provider_error(status: int) -> openai.APIError:
    """The error that the openai client raises for this status; 0 is an error event in the middle of a stream."""
    request = httpx2.Request("POST", "http://demo.invalid/v1/responses")
    body = {"message": ERROR_MESSAGE, "code": "demo_error", "type": "demo_error", "param": None}
    if not status:
        return openai.APIError(ERROR_MESSAGE, request, body=body)
    kinds: dict[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
    }
    kind = kinds.get(status, openai.InternalServerError)
    return kind(ERROR_MESSAGE, response=httpx2.Response(status, request=request), body=body)
