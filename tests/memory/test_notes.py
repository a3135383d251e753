"""Notes to the model keep the roles alternating."""

from typing import Any

from chatkit_server.memory.notes import join_notes, notes_of, with_answer
from chatkit_server.models.fit_messages import NO_ANSWER

Json = dict[str, Any]

CALL: Json = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
OUTPUT: Json = {"type": "function_call_output", "call_id": "c", "output": "42"}
ANSWER: Json = {"type": "message", "role": "assistant", "content": NO_ANSWER}
SAID: Json = {"role": "assistant", "content": "b"}
IMAGE: Json = {"type": "input_image", "image_url": "https://images.example/1.png"}


def user(*parts: str | Json) -> Json:
    content = [{"type": "input_text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"type": "message", "role": "user", "content": content}


def test_an_exchange_without_an_answer_gets_one() -> None:
    assert with_answer([user("a")]) == [user("a"), ANSWER]
    assert with_answer([user("a"), CALL]) == [user("a"), CALL, ANSWER]
    assert with_answer([user("a"), CALL, OUTPUT, user("note")]) == [user("a"), CALL, OUTPUT, ANSWER, user("note")]
    assert with_answer([user("a"), user("mentioned")]) == [user("a"), user("mentioned"), ANSWER]
    assert with_answer([user("a"), SAID, user("note")]) == [user("a"), SAID, user("note")]
    assert with_answer([]) == []


def joined(*exchange: Json) -> list[Json]:
    return join_notes(exchange, notes_of(exchange))


def test_a_note_after_an_output_is_a_part_of_it() -> None:
    output = {**OUTPUT, "output": "42\n\nshown"}
    assert joined(user("a"), CALL, OUTPUT, user("shown"), SAID) == [user("a"), CALL, output, SAID]
    both = {**OUTPUT, "output": "42\n\nshown\n\nalso"}
    assert joined(user("a"), CALL, OUTPUT, user("shown"), user("also"), SAID) == [user("a"), CALL, both, SAID]


def test_other_notes_stay() -> None:
    for output in (OUTPUT, {**OUTPUT, "output": [IMAGE]}):
        items = [user("a"), CALL, output, user(IMAGE), SAID]
        assert joined(*items) == items
    for items in ([user("a"), SAID, user("note")], [user("a"), CALL, OUTPUT, user("stopped")]):
        assert joined(*items) == items


def test_messages_of_the_user_in_a_row_become_one() -> None:
    assert joined(user("a"), user("note", IMAGE)) == [user("a", "note", IMAGE)]
    assert join_notes([{"role": "user", "content": "a"}, user("b")], []) == [{"role": "user", **_content("a", "b")}]


def test_the_next_message_of_the_user_is_no_note() -> None:
    assert join_notes([user("a"), CALL, OUTPUT, user("b")], []) == [user("a"), CALL, OUTPUT, user("b")]


def _content(*texts: str) -> Json:
    return {"content": [{"type": "input_text", "text": text} for text in texts]}
