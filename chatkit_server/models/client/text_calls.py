"""Stream a call whose answer is most likely text, past the Agents SDK's model class.

`OpenAIResponsesModel.stream_response` (agents 0.24) makes the request, then wraps its events in two more iterators and
closes them in two tasks. Of a plain answer it changes nothing. So requests are prepared (`prepared_calls.py`) and their
events yielded as they are. Whatever else happens is left to the SDK: it gets the outcome of the request, or the rest of
the events from the first one that it would not just pass on.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self, cast

from agents import ModelSettings, ModelTracing, OpenAIResponsesModel, Tool
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseInProgressEvent,
)
from pydantic import BaseModel

from .direct_calls import DirectAnswer, EarlyOutcome, early_outcome, is_untouched
from .prepared_calls import PreparedCalls
from .wire_items import FittedItems

if TYPE_CHECKING:
    from .requests import FastResponses

try:
    from agents.models.openai_responses import _ResponseStreamWithRequestId
except ImportError:  # a private name: without it, all calls are the SDK's
    HAS_STREAM = False
else:
    HAS_STREAM = True

_UNREAD_CLASSES: Mapping[str, type[BaseModel]] = {
    "response.created": ResponseCreatedEvent,
    "response.in_progress": ResponseInProgressEvent,
    "response.content_part.done": ResponseContentPartDoneEvent,
}


def _empty(event_class: type[BaseModel], name: str) -> Any:
    """Return what openai's `model_construct` does, without building the class at import: 45 ms of each start."""
    event = event_class.__new__(event_class)
    event.__setstate__(
        {
            "__dict__": dict.fromkeys(event_class.__annotations__) | {"type": name},
            "__pydantic_fields_set__": {"type"},
            "__pydantic_extra__": {},
            "__pydantic_private__": None,
        }
    )
    return event


UNREAD: Mapping[str, Any] = {name: _empty(event_class, name) for name, event_class in _UNREAD_CLASSES.items()}
"""Events of which a turn reads only that they have come. Their responses repeat all instructions and tools."""
_FAILURES = frozenset({"response.failed", "response.incomplete", "response.error"})

Events = AsyncGenerator[TResponseStreamEvent, None]
StockCall = Callable[[], AsyncIterator[TResponseStreamEvent]]


class TextCalls:
    """The calls of one model."""

    def __init__(self, model: OpenAIResponsesModel, responses: "FastResponses") -> None:
        """`model` sends its requests through `responses`."""
        self._model = model
        self._prepared = PreparedCalls(model, responses)

    async def stream(
        self,
        instructions: str | None,
        input: FittedItems,
        settings: ModelSettings,
        tools: Sequence[Tool],
        stock: StockCall,
    ) -> Events:
        """Yield the events of a call without tracing, as `stock` does; those of `UNREAD` are empty.

        Raises what `stock` raises.
        """
        answer = None
        if is_untouched(OpenAIResponsesModel.stream_response):  # else a tool observes the model's calls
            answer = await self._prepared.ask(instructions, input, settings, tools)
        if not isinstance(answer, DirectAnswer):
            async with aclosing(_stock_events(stock, answer)) as others:
                async for event in others:
                    yield event
            return
        rest: AsyncIterator[Any] | None = None
        async with aclosing(answer.events(UNREAD)) as events:
            try:
                async for event in events:
                    kind = event.type
                    if kind == "response.completed":
                        if event.response.usage is None:  # the SDK notes that
                            rest = _following(event, events)
                            break
                        if answer.request_id is not None:
                            event.response._request_id = answer.request_id
                    elif kind in _FAILURES or not kind.startswith("response."):
                        rest = _following(event, events)
                        break
                    yield event
            except Exception as error:
                rest = _Failing(error)
            if rest is not None:
                model = _RestOfAnswer(self._model, rest, answer)
                stock_events = model.stream_response(
                    instructions, list(input), settings, [], None, [], ModelTracing.DISABLED
                )
                async with aclosing(cast(Events, stock_events)) as others:
                    async for event in others:
                        yield event


class _RestOfAnswer(OpenAIResponsesModel):
    """A model whose answer has begun."""

    def __init__(self, model: OpenAIResponsesModel, rest: AsyncIterator[Any], answer: DirectAnswer) -> None:
        super().__init__(model.model, model._client)
        self._rest = rest
        self._answer = answer

    async def _fetch_response(self, *args: Any, **options: Any) -> Any:
        return _ResponseStreamWithRequestId(self._rest, request_id=self._answer.request_id, cleanup=self._answer.close)


async def _stock_events(stock: StockCall, early: EarlyOutcome | None) -> Events:
    """Yield the events of a call of the SDK, which takes an outcome that the request had as that of its own."""
    early_outcome.set(early)
    try:
        async with aclosing(cast(Events, stock())) as events:
            async for event in events:
                yield event
    finally:
        early_outcome.set(None)  # not reset: a generator may be closed in another context
        if early is not None:
            await early.drop()


async def _following(event: Any, events: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    yield event
    async for later in events:
        yield later


class _Failing:
    """The rest of an answer that is an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        raise self._error
