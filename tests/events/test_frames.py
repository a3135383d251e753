"""Frames: the hand-written JSON of a text delta equals pydantic's, whatever the text."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    FileAttachment,
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    UserMessageItem,
)
from hypothesis import example, given
from hypothesis import strategies as st

from chatkit_server.events.frames import beginnings, encode_event, encode_text_delta, frame, serialize
from tests.stage import EXAMPLES, make_item
from tests.support.sse import parse

THREAD = ThreadMetadata(id="thr_1", created_at=datetime(2026, 11, 23, tzinfo=UTC))

texts = st.text(st.characters(codec="utf-8"))
any_text = st.text(st.characters(exclude_characters="\0"))  # lone surrogates, too


def by_pydantic(item_id: str, index: int, delta: str) -> bytes:
    """Return the bytes that chatkit's own server writes."""
    update = AssistantMessageContentPartTextDelta(content_index=index, delta=delta)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update).model_dump_json(
        by_alias=True, exclude_none=True, context={"exclude_metadata": True}
    ).encode()  # fmt: skip


@given(texts, st.integers(0, 10**12), st.one_of(st.just("msg_1"), texts))
@example('"quoted" \\ {}}', 0, "msg_1")
@example("\x00\x07\x1f\x7f\x85\u2028\u2029\ufeff", 0, "msg_1")
@example("🦊𝒳", 7, 'an "id"}}')
@example("", 0, "")
def test_the_hand_written_text_delta_equals_pydantics_bytes(delta: str, index: int, item_id: str) -> None:
    assert encode_text_delta(item_id, index, delta) == by_pydantic(item_id, index, delta)


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("item_id", ["msg_1", 'an "id" ü\ud83e'])
def test_every_event_with_an_items_content_begins_as_predicted(kind: str, item_id: str) -> None:
    item = make_item(kind, THREAD, "msg_1").model_copy(update={"id": item_id})
    delta = AssistantMessageContentPartTextDelta(content_index=0, delta="text")
    telling = [event(item=item) for event in (ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemReplacedEvent)]
    for event in [*telling, ThreadItemUpdatedEvent(item_id=item_id, update=delta)]:
        assert encode_event(event).decode().startswith(beginnings(item_id))
        assert not encode_event(event).decode().startswith(beginnings("msg_"))
    assert not encode_event(ThreadItemRemovedEvent(item_id=item_id)).decode().startswith(beginnings(item_id))


@given(any_text)
@example("\ud83e")
@example("a\udd8a\ud83eb")
@example("\ud83e\udd8a")  # two halves that are a whole
def test_no_text_breaks_a_frame(delta: str) -> None:
    """A lone surrogate becomes U+FFFD; a pair becomes its character."""
    (read,) = parse(frame(1, encode_text_delta("msg_1", 0, delta)))
    assert read.json["update"]["delta"] == delta.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(any_text, any_text)
def test_no_text_breaks_any_other_event(title: str, key: str) -> None:
    item = make_item("task", THREAD, "tsk_1", task={"type": "custom", "title": title})
    data = json.loads(encode_event(ThreadItemDoneEvent(item=item)))
    assert data["item"]["task"]["title"] == title.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    tool_call = make_item("client_tool_call", THREAD, "tc_1", arguments={key: {"deep": [title]}})
    assert json.loads(encode_event(ThreadItemDoneEvent(item=tool_call)))["item"]["name"] == "look"


def test_replacing_surrogates_changes_only_the_text() -> None:
    whole, broken = (
        json.loads(encode_event(ThreadItemDoneEvent(item=make_item("user_message", THREAD, "msg_1", content=[part]))))
        for part in ({"type": "input_text", "text": text} for text in ("?", "\ud83e"))
    )
    whole["item"]["created_at"] = broken["item"]["created_at"]
    whole["item"]["content"][0]["text"] = "\N{REPLACEMENT CHARACTER}"
    assert broken == whole
    assert broken["item"]["created_at"].endswith("Z")


@given(any_text, st.integers(1, 10**9))
def test_a_frame_always_has_three_lines(text: str, number: int) -> None:
    written = frame(number, encode_event(ProgressUpdateEvent(text=text)))
    assert written.startswith(b"id: %d\ndata: {" % number)
    assert written.endswith(b"}\n\n")
    assert written.count(b"\n") == 3
    assert b"\r" not in written
    assert [read.id for read in parse(written)] == [str(number)]


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_an_item_is_written_without_nulls(kind: str) -> None:
    def nulls(value: Any) -> bool:
        match value:
            case dict():
                return any(map(nulls, value.values()))
            case list():
                return any(map(nulls, value))
        return value is None

    event = json.loads(encode_event(ThreadItemDoneEvent(item=make_item(kind, THREAD, "x_1"))))
    assert event["item"]["type"] == kind
    assert not nulls(event)


def test_an_attachments_metadata_stays_on_the_server() -> None:
    attachment = FileAttachment(id="atc_1", name="a", mime_type="text/plain", metadata={"path": "/secret"})
    item = make_item("user_message", THREAD, "msg_1", attachments=[attachment])
    assert isinstance(item, UserMessageItem)
    assert b"secret" not in serialize(item)
    broken = item.model_copy(update={"quoted_text": "\ud83e"})
    assert b"secret" not in serialize(broken)
    assert b"mime_type" in serialize(broken)
