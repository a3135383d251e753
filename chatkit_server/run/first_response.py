"""The response to the first model call of a run, which the Runner can read again."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from agents import Model, ModelResponse, ModelRetryAdvice, ModelRetryAdviceRequest
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
)

from ..fast_path.tap import current_tap

_FAILURES = frozenset({"response.failed", "response.incomplete", "error", "response.error"})


class FirstResponse(Model):
    """Reads a model's response, and is a model that gives the same response again."""

    def __init__(self, model: Model, events: AsyncIterator[TResponseStreamEvent]) -> None:
        """`events` is the answer of `model` to the first call of a run."""
        self.kept: list[TResponseStreamEvent] = []
        """The events that the Runner acts upon (agents 0.24): a model may send thousands of others."""
        self._model = model
        self._events = events
        self._completed: Response | None = None
        self._is_plain = True
        self._error: Exception | None = None
        self._is_repeated = False

    async def read(self) -> AsyncGenerator[TResponseStreamEvent, None]:
        """Yield the events to their end, which may be an error of the model; it is not raised here.

        Those that the tap of the current task's run has heard are read, but not yielded.
        """
        tap = current_tap()
        try:
            async for event in self._events:
                is_plain = _is_plain(event)
                self._is_plain &= is_plain
                if isinstance(event, ResponseOutputItemDoneEvent | ResponseCompletedEvent) or not is_plain:
                    self.kept.append(event)
                if isinstance(event, ResponseCompletedEvent):
                    self._completed = event.response
                if tap is None or not tap.was_heard(event):
                    yield event
        except Exception as error:
            self._error = error
        finally:
            if isinstance(self._events, AsyncGenerator):
                await self._events.aclose()

    @property
    def plain_answer(self) -> Response | None:
        """The response, if it is text and nothing else; None if only the Runner knows what follows."""
        return self._completed if self._is_plain and self._error is None else None

    def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Return the response; if the Runner calls again, that of another call of the model."""
        return self._model.stream_response(*args, **options) if self._is_repeated else self._repeat()

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        """See `Model.get_response`. A streamed run does not call it."""
        return await self._model.get_response(*args, **options)

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """See `Model.get_retry_advice`."""
        return self._model.get_retry_advice(request)

    def __getattr__(self, name: str) -> Any:
        """Return what else the model has: the Agents SDK asks models for private abilities."""
        return getattr(self._model, name)

    async def _repeat(self) -> AsyncGenerator[TResponseStreamEvent, None]:
        self._is_repeated = True
        for event in self.kept:
            yield event
        if self._error is not None:
            raise self._error


def _is_plain(event: TResponseStreamEvent) -> bool:
    """Return whether the Runner would do nothing at this event, or end the run with the text of a whole response."""
    if isinstance(event, ResponseOutputItemAddedEvent | ResponseOutputItemDoneEvent):
        return event.item.type in ("message", "reasoning")
    if isinstance(event, ResponseCompletedEvent):
        return _is_text(event.response)
    return event.type not in _FAILURES


def _is_text(response: Response) -> bool:
    """Return whether the output has a message, and nothing but texts and thoughts."""
    messages = [item for item in response.output if isinstance(item, ResponseOutputMessage)]
    return (
        bool(messages)
        and all(isinstance(item, ResponseOutputMessage | ResponseReasoningItem) for item in response.output)
        and all(isinstance(part, ResponseOutputText) for message in messages for part in message.content)
    )
