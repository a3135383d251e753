"""Build raw events of a model's stream by hand, as the Agents SDK passes them on.

play(response(*message(0, "Hi."), *reasoning(1, "Hm.")))
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from agents.testing import ModelStep
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

Event = Any
Json = dict[str, Any]
Gate = Callable[[], Awaitable[None]]

FAKE_ID = "__fake_id__"

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def event(kind: str, **fields: Any) -> Event:
    """Return one event, with defaults for fields that no test reads."""
    return _EVENT.validate_python({"type": kind, "sequence_number": 0, **fields})


def envelope(kind: str, output: Sequence[Json] = (), **fields: Any) -> Event:
    """Return a `response.created`, `.completed` or `.failed` event."""
    response = {
        "id": "resp_1",
        "created_at": 0,
        "model": "test",
        "object": "response",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    return event(kind, response=response | fields)


def message_item(text: str = "", *, refusal: str = "", annotations: Sequence[Json] = (), done: bool = True) -> Json:
    """Return an assistant message."""
    part: Json = {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}
    content = [{"type": "refusal", "refusal": refusal}] if refusal else [part]
    status = "completed" if done else "in_progress"
    return {"id": FAKE_ID, "type": "message", "role": "assistant", "status": status, "content": content if done else []}


def call_item(name: str, call_id: str, item_id: str | None = FAKE_ID) -> Json:
    """Return a function call."""
    return {"id": item_id, "type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def added(index: int, item: Json) -> Event:
    """Return the event that adds an output item."""
    return event("response.output_item.added", output_index=index, item=item)


def done(index: int, item: Json) -> Event:
    """Return the event that completes an output item."""
    return event("response.output_item.done", output_index=index, item=item)


def delta(index: int, text: str, part: int = 0) -> Event:
    """Return a text delta."""
    return event(
        "response.output_text.delta", item_id=FAKE_ID, output_index=index, content_index=part, delta=text, logprobs=[]
    )


def text_done(index: int, text: str, part: int = 0) -> Event:
    """Return the event that completes a text."""
    return event(
        "response.output_text.done", item_id=FAKE_ID, output_index=index, content_index=part, text=text, logprobs=[]
    )


def part_added(index: int, part: int = 0) -> Event:
    """Return the event that adds a part of a message."""
    content = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return event("response.content_part.added", item_id=FAKE_ID, output_index=index, content_index=part, part=content)


def message(index: int, *pieces: str, annotations: Sequence[Json] = ()) -> list[Event]:
    """Return all events of a message. Its citations follow the text."""
    text = "".join(pieces)
    return [
        added(index, message_item(done=False)),
        part_added(index),
        *(delta(index, piece) for piece in pieces),
        *(
            event(
                "response.output_text.annotation.added",
                item_id=FAKE_ID,
                output_index=index,
                content_index=0,
                annotation_index=n,
                annotation=annotation,
            )
            for n, annotation in enumerate(annotations)
        ),
        text_done(index, text),
        done(index, message_item(text)),
    ]


def thought(index: int, *pieces: str, summary_index: int = 0, closed: bool = True) -> list[Event]:
    """Return the events of one part of a reasoning summary."""
    where = {"item_id": FAKE_ID, "output_index": index, "summary_index": summary_index}
    deltas = [event("response.reasoning_summary_text.delta", **where, delta=piece) for piece in pieces]
    end = [event("response.reasoning_summary_text.done", **where, text="".join(pieces))]
    return [*deltas, *(end if closed else [])]


def raw_thought(index: int, *pieces: str) -> list[Event]:
    """Return the events of reasoning text, as open models send it."""
    where = {"item_id": FAKE_ID, "output_index": index, "content_index": 0}
    deltas = [event("response.reasoning_text.delta", **where, delta=piece) for piece in pieces]
    return [*deltas, event("response.reasoning_text.done", **where, text="".join(pieces))]


def reasoning(index: int, *thoughts: Sequence[Event]) -> list[Event]:
    """Return the events of a reasoning item with its thoughts."""
    item = {"id": FAKE_ID, "type": "reasoning", "summary": []}
    return [added(index, item), *(event for thought in thoughts for event in thought), done(index, item)]


def response(*events: Event | Gate, output: Sequence[Json] | None = None) -> ModelStep:
    """Return one model response. A coroutine function among the events is awaited in its place."""
    finished: list[Any] = [getattr(e, "item", None) for e in events if getattr(e, "type", "").endswith("item.done")]
    items = [item.model_dump() for item in finished] if output is None else output

    async def stream(_: Any) -> AsyncIterator[Event]:
        yield envelope("response.created")
        for entry in events:
            if callable(entry):
                await entry()
            else:
                yield entry
        yield envelope("response.completed", items)

    return ModelStep.stream(stream)
