"""Encode ChatKit events as SSE frames. Text deltas, the events of the hot path, are encoded by hand.

A frame is `id: <n>`, `data: <json>` and an empty line; ids count from 1 within a turn.
"""

from chatkit.types import AssistantMessageContentPartTextDelta, ThreadItemUpdatedEvent, ThreadStreamEvent
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from chatkit_store import clean_json, clean_text

PING = b": ping\n\n"
_TEXT_DELTA = (
    b'{"type":"thread.item.updated","item_id":%b,'
    b'"update":{"type":"assistant_message.content_part.text_delta","content_index":%d,"delta":'
)


def serialize(model: BaseModel) -> bytes:
    """Return the JSON that chatkit itself writes (`ChatKitServer._serialize`, 1.6.5): no nulls, no attachment metadata.

    A lone surrogate, which some providers send and UTF-8 cannot encode, becomes U+FFFD instead of an error.
    """
    try:
        return model.__pydantic_serializer__.to_json(
            model, by_alias=True, exclude_none=True, context={"exclude_metadata": True}
        )
    except (PydanticSerializationError, UnicodeError):
        fields = model.model_dump(by_alias=True, exclude_none=True, context={"exclude_metadata": True})
        return to_json(clean_json(fields))


def encode_event(event: ThreadStreamEvent) -> bytes:
    """Return the event's JSON; a text delta bypasses pydantic (0.3 µs instead of 3.9 µs)."""
    if type(event) is ThreadItemUpdatedEvent and type(event.update) is AssistantMessageContentPartTextDelta:
        return encode_text_delta(event.item_id, event.update.content_index, event.update.delta)
    return serialize(event)


def encode_text_delta(item_id: str, content_index: int, delta: str) -> bytes:
    """Return the JSON of a text delta, byte for byte what pydantic writes (tests/events/test_frames.py compares)."""
    return b"%b%b}}" % (text_delta_prefix(item_id, content_index), _json_text(delta))


def text_frame(number: int, prefix: bytes, delta: str) -> bytes:
    """Return the SSE frame of a text delta, with the prefix of its content part. This is the hot path."""
    try:
        text = to_json(delta)
    except (PydanticSerializationError, UnicodeError):
        text = _json_text(delta)
    return b"id: %d\ndata: %b%b}}\n\n" % (number, prefix, text)


def beginnings(item_id: str) -> tuple[str, ...]:
    """Return how the JSON of each event with the item's content begins (tests/events/test_frames.py compares)."""
    json_id = to_json(clean_text(item_id)).decode()
    with_item = (f'{{"type":"thread.item.{kind}","item":{{"id":{json_id},' for kind in ("added", "done", "replaced"))
    return (*with_item, f'{{"type":"thread.item.updated","item_id":{json_id},')


def frame(number: int, data: bytes) -> bytes:
    """Return one SSE frame."""
    return b"id: %d\ndata: %b\n\n" % (number, data)


def text_delta_prefix(item_id: str, content_index: int) -> bytes:
    """Return how the JSON of a content part's text deltas begins."""
    return _TEXT_DELTA % (_json_text(item_id), content_index)


def _json_text(text: str) -> bytes:
    try:
        return to_json(text)
    except (PydanticSerializationError, UnicodeError):
        return to_json(clean_text(text))
