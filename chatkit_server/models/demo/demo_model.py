"""Implement `agents.Model` with a script played at a model's pace. Deterministic except for ids and times."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import openai
from agents import AgentOutputSchemaBase, Handoff, Model, ModelProvider, ModelResponse, ModelSettings, Tool, Usage
from agents.items import TResponseInputItem
from openai.types.responses import (
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
)

from .answer_events import ResponseEvents
from .conversation import Conversation, read_conversation
from .handoffs import routes_of
from .pace import Pace
from .pieces import split_pieces
from .script import Failure, Message, Reasoning, Step, ToolCall, make_script
from .structured import structured_answer
from .texts import ERROR_MESSAGE

DELTAS = ResponseTextDeltaEvent | ResponseReasoningSummaryTextDeltaEvent | ResponseFunctionCallArgumentsDeltaEvent


class DemoModel(Model):
    """Plays the steps of `script.make_script`, token by token."""

    def __init__(self, *, tokens_per_second: float, name: str = "demo") -> None:
        self._tokens_per_second = tokens_per_second
        self._name = name

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        """Yield the events of the answer. Raises an `openai.APIError` if the message asks for an error."""
        pace = Pace(self._tokens_per_second)
        for event in self._events(input, tools, handoffs, output_schema):
            if isinstance(event, DELTAS):
                await pace.wait()
            yield event

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        """Return the whole answer. Raises an `openai.APIError` if the message asks for an error."""
        await asyncio.sleep(0)
        *_, last = self._events(input, tools, handoffs, output_schema)
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

    def _events(
        self,
        input: str | list[TResponseInputItem],
        tools: list[Tool],
        handoffs: list[Handoff[Any, Any]],
        output_schema: AgentOutputSchemaBase | None,
    ) -> Iterator[ResponseStreamEvent]:
        conversation = read_conversation(input)
        events = ResponseEvents(model=self._name, input_tokens=len(split_pieces(str(input))))
        yield from events.start()
        names = [*(tool.name for tool in tools), *(handoff.tool_name for handoff in handoffs)]
        for step in make_script(conversation, names, routes_of(handoffs)):
            yield from _play(_structured(step, conversation, output_schema), events)
        yield from events.complete()


class DemoProvider(ModelProvider):
    """Provides the demo model under every name, so that an agent that names a model can be tried without a key."""

    def __init__(self, *, tokens_per_second: float) -> None:
        self._model = DemoModel(tokens_per_second=tokens_per_second)

    def get_model(self, model_name: str | None) -> Model:
        """Return the demo model, whatever the name."""
        return self._model


def _structured(step: Step, conversation: Conversation, output_schema: AgentOutputSchemaBase | None) -> Step:
    """Return the step with a message that an agent with an `output_type` can read."""
    if not isinstance(step, Message) or output_schema is None or output_schema.is_plain_text():
        return step
    return Message(structured_answer(output_schema, conversation.text))


def _play(step: Step, events: ResponseEvents) -> Iterator[ResponseStreamEvent]:
    match step:
        case Reasoning(text):
            return events.reasoning(text)
        case Message(text):
            return events.message(text)
        case ToolCall(name, arguments):
            return events.tool_call(name, arguments)
        case Failure(status):
            raise _provider_error(status)


def _provider_error(status: int) -> openai.APIError:
    """Return the error that the openai client raises for `status`; 0 stands for an error event within a stream."""
    request = httpx2.Request("POST", "http://demo.invalid/v1/responses")
    body = {"message": ERROR_MESSAGE, "code": "demo_error", "type": "demo_error", "param": None}
    if not status:
        return openai.APIError(ERROR_MESSAGE, request, body=body)
    classes: dict[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
    }
    error_class = classes.get(status, openai.InternalServerError)
    return error_class(ERROR_MESSAGE, response=httpx2.Response(status, request=request), body=body)
