"""Build the stream events of a scripted response, with ids and sequence numbers like a real endpoint's."""

import time
import uuid
from collections.abc import Iterator

from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseInProgressEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseReasoningSummaryPartAddedEvent,
    ResponseReasoningSummaryPartDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
    ResponseUsage,
)
from openai.types.responses.response_reasoning_item import Summary
from openai.types.responses.response_reasoning_summary_part_added_event import Part as AddedPart
from openai.types.responses.response_reasoning_summary_part_done_event import Part as DonePart
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from .pieces import split_pieces


class ResponseEvents:
    """Yields the events of one response and collects its output."""

    def __init__(self, *, model: str, input_tokens: int) -> None:
        self._sequence = -1
        self._input_tokens = input_tokens
        self._output_tokens = 0
        self.response = Response(
            id=_new_id("resp"),
            created_at=time.time(),
            model=model,
            object="response",
            output=[],
            parallel_tool_calls=False,
            status="in_progress",
            tool_choice="auto",
            tools=[],
        )

    def start(self) -> Iterator[ResponseStreamEvent]:
        """Yield the events before any output."""
        snapshot = self.response.model_copy(deep=True)
        yield ResponseCreatedEvent(type="response.created", response=snapshot, sequence_number=self._next())
        yield ResponseInProgressEvent(type="response.in_progress", response=snapshot, sequence_number=self._next())

    def reasoning(self, text: str) -> Iterator[ResponseStreamEvent]:
        """Yield the events of a reasoning item with `text` as its summary."""
        item = ResponseReasoningItem(id=_new_id("rs"), type="reasoning", summary=[])
        position = {"item_id": item.id, "output_index": self._index, "summary_index": 0}
        yield self._added(item)
        yield ResponseReasoningSummaryPartAddedEvent(
            type="response.reasoning_summary_part.added",
            part=AddedPart(type="summary_text", text=""),
            sequence_number=self._next(),
            **position,
        )
        for piece in self._pieces(text):
            yield ResponseReasoningSummaryTextDeltaEvent(
                type="response.reasoning_summary_text.delta", delta=piece, sequence_number=self._next(), **position
            )
        yield ResponseReasoningSummaryTextDoneEvent(
            type="response.reasoning_summary_text.done", text=text, sequence_number=self._next(), **position
        )
        yield ResponseReasoningSummaryPartDoneEvent(
            type="response.reasoning_summary_part.done",
            part=DonePart(type="summary_text", text=text),
            sequence_number=self._next(),
            **position,
        )
        yield self._done(item.model_copy(update={"summary": [Summary(type="summary_text", text=text)]}))

    def message(self, text: str) -> Iterator[ResponseStreamEvent]:
        """Yield the events of a message item with `text`."""
        item = ResponseOutputMessage(
            id=_new_id("msg"), type="message", role="assistant", status="in_progress", content=[]
        )
        position = {"item_id": item.id, "output_index": self._index, "content_index": 0}
        empty, full = (ResponseOutputText(type="output_text", text=t, annotations=[], logprobs=[]) for t in ("", text))
        yield self._added(item)
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added", part=empty, sequence_number=self._next(), **position
        )
        for piece in self._pieces(text):
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta", delta=piece, logprobs=[], sequence_number=self._next(), **position
            )
        yield ResponseTextDoneEvent(
            type="response.output_text.done", text=text, logprobs=[], sequence_number=self._next(), **position
        )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done", part=full, sequence_number=self._next(), **position
        )
        yield self._done(item.model_copy(update={"status": "completed", "content": [full]}))

    def tool_call(self, name: str, arguments: str) -> Iterator[ResponseStreamEvent]:
        """Yield the events of a function call item."""
        item = ResponseFunctionToolCall(
            id=_new_id("fc"),
            type="function_call",
            call_id=_new_id("call"),
            name=name,
            arguments="",
            status="in_progress",
        )
        position = {"item_id": item.id or "", "output_index": self._index}
        yield self._added(item)
        for piece in self._pieces(arguments):
            yield ResponseFunctionCallArgumentsDeltaEvent(
                type="response.function_call_arguments.delta", delta=piece, sequence_number=self._next(), **position
            )
        yield ResponseFunctionCallArgumentsDoneEvent(
            type="response.function_call_arguments.done",
            name=name,
            arguments=arguments,
            sequence_number=self._next(),
            **position,
        )
        yield self._done(item.model_copy(update={"status": "completed", "arguments": arguments}))

    def complete(self) -> Iterator[ResponseStreamEvent]:
        """Yield the last event, with the usage."""
        self.response.status = "completed"
        self.response.usage = ResponseUsage(
            input_tokens=self._input_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
            output_tokens=self._output_tokens,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            total_tokens=self._input_tokens + self._output_tokens,
        )
        yield ResponseCompletedEvent(
            type="response.completed", response=self.response.model_copy(deep=True), sequence_number=self._next()
        )

    @property
    def _index(self) -> int:
        return len(self.response.output)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _pieces(self, text: str) -> Iterator[str]:
        for piece in split_pieces(text):
            self._output_tokens += 1
            yield piece

    def _added(self, item: ResponseOutputItem) -> ResponseStreamEvent:
        return ResponseOutputItemAddedEvent(
            type="response.output_item.added", item=item, output_index=self._index, sequence_number=self._next()
        )

    def _done(self, item: ResponseOutputItem) -> ResponseStreamEvent:
        event = ResponseOutputItemDoneEvent(
            type="response.output_item.done", item=item, output_index=self._index, sequence_number=self._next()
        )
        self.response.output.append(item)
        return event


def _new_id(prefix: str) -> str:
    return f"{prefix}_demo_{uuid.uuid4().hex}"
