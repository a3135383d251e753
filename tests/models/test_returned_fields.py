"""Thoughts and signatures are collected from a stream, kept in a function call, and sent back with it."""

from typing import Any

from openai.types.responses import ResponseFunctionToolCall

from chatkit_server.models.returned_fields import (
    KEY,
    MAX_CHARACTERS,
    EmittedFields,
    add_returned_fields,
    bounded,
    emitted_fields,
    record_fields,
    returned_fields,
)

Json = dict[str, Any]

TEXT: Json = {"choices": [{"delta": {"content": "a"}}]}


def call_item(call_id: str) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(call_id=call_id, name="look", arguments="{}", type="function_call")


def collected(*deltas: Json) -> list[Json]:
    """Return the messages of the next request, after these deltas and two calls."""
    fields = EmittedFields("m 1")
    for delta in deltas:
        fields.add(delta)
    items = [call_item("1"), call_item("2")]
    fields.attach_to(items)
    messages: list[Json] = [{"role": "assistant", "tool_calls": [{"id": "1"}, {"id": "2"}]}]
    add_returned_fields(messages, returned_fields([item.model_dump() for item in items], "m 1"))
    return messages


def test_texts_are_joined() -> None:
    (message,) = collected({"reasoning_content": "I "}, {"reasoning_content": "see."}, {"reasoning": None})
    assert message["reasoning_content"] == "I see."
    assert "reasoning" not in message


def test_blocks_are_joined_until_their_signature() -> None:
    blocks = [
        {"type": "thinking", "thinking": "I ", "signature": ""},
        {"type": "thinking", "thinking": "see."},
        {"type": "thinking", "thinking": "", "signature": "abc"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "More.", "signature": None},
    ]
    (message,) = collected(*({"thinking_blocks": [block]} for block in blocks))
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "I see.", "signature": "abc"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "More.", "signature": None},
    ]


def test_details_of_different_kinds_and_indexes_stay_apart() -> None:
    details = [
        {"type": "reasoning.text", "text": "I ", "index": 0},
        {"type": "reasoning.text", "text": "see.", "index": 0},
        {"type": "reasoning.encrypted", "data": "a", "index": 1, "id": "t1"},
        {"type": "reasoning.encrypted", "data": "b", "index": 1, "id": "t2"},
    ]
    (message,) = collected(*({"reasoning_details": [detail]} for detail in details))
    assert [detail.get("text") or detail["data"] for detail in message["reasoning_details"]] == ["I see.", "a", "b"]


def test_signatures_belong_to_their_calls_however_they_are_numbered() -> None:
    for numbers in ((0, 1), (1, 2), (0, 0), (None, None)):
        parts = [
            {"index": number, "id": f"c{position}", "extra_content": {"google": {"thought_signature": f"s{position}"}}}
            for position, number in enumerate(numbers)
        ]
        (message,) = collected(*({"tool_calls": [part, {"index": part["index"]}][:1]} for part in parts))
        signatures = [call["extra_content"]["google"]["thought_signature"] for call in message["tool_calls"]]
        assert signatures == ["s0", "s1"]
    late: list[Json] = [
        {"tool_calls": [{"id": "c0"}]},
        {"tool_calls": [{"extra_content": {"google": {"thought_signature": "s"}}}]},
    ]
    assert "extra_content" in collected(*late)[0]["tool_calls"][0]


def test_another_model_gets_nothing() -> None:
    fields = EmittedFields("m 1")
    fields.add({"reasoning_content": "I see."})
    item = call_item("1")
    fields.attach_to([item])
    assert returned_fields([item.model_dump()], "m 2") == {}
    assert returned_fields("Hello", "m 1") == {}


def test_only_a_message_with_calls_gets_its_thoughts() -> None:
    fields = EmittedFields("m 1")
    emitted_fields.set(fields)
    chunks: list[Any] = [{"choices": []}, {"choices": [{"delta": None}]}, {"error": {}}, [], TEXT]
    for chunk in chunks:
        record_fields(chunk)
    record_fields({"choices": [{"message": {"reasoning": "Hm.", "tool_calls": [{"id": "1"}]}}]})
    item = call_item("1")
    fields.attach_to([item])
    messages: list[Json] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    add_returned_fields(messages, returned_fields([item.model_dump()], "m 1"))
    assert messages == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert item.model_dump()["provider_data"][KEY]["message"] == {"reasoning": "Hm."}


def test_the_transcript_keeps_fields_of_a_limited_size() -> None:
    message = {"reasoning_content": "x" * (MAX_CHARACTERS + 1), "reasoning_details": [{"data": "x" * MAX_CHARACTERS}]}
    data = {"origin": "m 1", "message": message, "call": {"extra_content": {"a": 1}}}
    kept = bounded({KEY: data, "model": "m"})[KEY]
    assert kept["message"] == {"reasoning_content": "x" * MAX_CHARACTERS}
    assert kept["call"] == {"extra_content": {"a": 1}}
    assert bounded({"model": "m"}) == {}
