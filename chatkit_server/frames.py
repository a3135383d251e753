"""ChatKit events as bytes on the wire. The text delta, the one event of the hot path, is put together by hand.

A frame is `id: <n>`, `data: <json>` and an empty line; ids count from 1 within a turn.
"""

from functools import lru_cache

from chatkit.types import AssistantMessageContentPartTextDelta, ThreadItemUpdatedEvent, ThreadStreamEvent
from pydantic import BaseModel
from pydantic_core import to_json

PING = b": ping\n\n"


def serialize(model: BaseModel) -> bytes:
    """JSON as chatkit itself writes it (`ChatKitServer._serialize`, 1.6.5): no nulls, no attachment metadata."""
    return model.__pydantic_serializer__.to_json(
        model, by_alias=True, exclude_none=True, context={"exclude_metadata": True}
    )


def encode_event(event: ThreadStreamEvent) -> bytes:
    """The event's JSON; a text delta without pydantic's walk over the model (3.9 µs down to 0.3 µs)."""
    if type(event) is ThreadItemUpdatedEvent and type(event.update) is AssistantMessageContentPartTextDelta:
        return encode_text_delta(event.item_id, event.update.content_index, event.update.delta)
    return serialize(event)


def encode_text_delta(item_id: str, content_index: int, delta: str) -> bytes:
    """The JSON of a text delta, byte for byte what pydantic writes (tests/test_frames.py compares them)."""
    return b"%b%b}}" % (_text_delta_prefix(item_id, content_index), to_json(delta))


def frame(number: int, data: bytes) -> bytes:
    """One SSE frame."""
    return b"id: %d\ndata: %b\n\n" % (number, data)


@lru_cache(maxsize=4096)
def _text_delta_prefix(item_id: str, content_index: int) -> bytes:
    whole = serialize(
        ThreadItemUpdatedEvent(
            item_id=item_id, update=AssistantMessageContentPartTextDelta(content_index=content_index, delta="")
        )
    )
    return whole.removesuffix(b'""}}')
