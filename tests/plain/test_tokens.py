"""Events to tokens: the tokens always join to the whole text, whatever is repeated, late or missing."""

from typing import Any

import pytest

from chatkit_server.plain.tokens import RESET, Json, Tokens


def message(item_id: str, *parts: str, kind: str = "thread.item.added") -> Json:
    content = [{"type": "output_text", "text": part, "annotations": []} for part in parts]
    return {"type": kind, "item": {"id": item_id, "type": "assistant_message", "content": content}}


def done(item_id: str, *parts: str) -> Json:
    return message(item_id, *parts, kind="thread.item.done")


def update(item_id: str, kind: str, **more: Any) -> Json:
    return {
        "type": "thread.item.updated",
        "item_id": item_id,
        "update": {"type": f"assistant_message.content_part.{kind}", "content_index": 0, **more},
    }


def delta(item_id: str, text: str, index: int = 0) -> Json:
    return update(item_id, "text_delta", delta=text, content_index=index)


def part(item_id: str, kind: str, text: str, index: int = 0) -> Json:
    content = {"type": "output_text", "text": text, "annotations": []}
    return update(item_id, kind, content=content, content_index=index)


def removed(item_id: str) -> Json:
    return {"type": "thread.item.removed", "item_id": item_id}


WIDGET = {"type": "thread.item.done", "item": {"id": "w", "type": "widget", "widget": {}, "copy_text": "no text"}}


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([message("a"), delta("a", "one"), delta("a", " two"), done("a", "one two")], "one two"),
        ([message("a"), part("a", "added", ""), delta("a", "one"), part("a", "done", "one"), done("a", "one")], "one"),
        ([message("a", "one two"), delta("a", " three"), done("a", "one two three")], "one two three"),
        ([message("a"), delta("a", "one"), message("a", "one two"), delta("a", " three")], "one two three"),
        ([done("a", "one"), message("b"), delta("b", "two"), delta("b", "!")], "one\n\ntwo!"),
        ([message("a"), delta("a", "one"), WIDGET, delta("a", " two")], "one two"),
        ([message("a"), delta("a", "one"), delta("a", "two", 1), done("a", "one", "two")], "one\ntwo"),
        ([message("a"), delta("a", "one"), part("a", "added", "", 1), done("a", "one", "")], "one\n"),
        ([message("a"), delta("a", "\n"), removed("a"), message("b"), delta("b", "one")], "one"),
        ([message("a"), delta("a", " \n"), delta("a", " one")], " \n one"),
        ([message("a"), message("b"), delta("a", "one"), removed("b"), delta("a", " two")], "one two"),
        ([delta("a", "one"), update("a", "annotation_added", annotation={"text": "no"}, annotation_index=0)], "one"),
        ([message("a", "one"), message("b"), removed("b")], "one"),
        ([delta("a", "")], ""),
    ],
)
def test_tokens_join_to_the_text(events: list[Json], text: str) -> None:
    tokens = Tokens()
    pieces = [piece for event in events for piece in tokens.take(event)]
    assert "".join(piece["token"] for piece in pieces) == text == tokens.text
    assert all(piece["token"] for piece in pieces)


def test_removed_text_is_reset() -> None:
    tokens = Tokens()
    tokens.take(done("a", "stays"))
    tokens.take(message("b", "goes"))
    assert tokens.take(removed("b")) == [RESET, {"token": "stays"}]
    assert tokens.take(removed("a")) == [RESET]
    assert tokens.take(removed("a")) == []


def test_text_that_changes_when_done_is_sent_again() -> None:
    tokens = Tokens()
    tokens.take(message("a"))
    tokens.take(delta("a", "one two"))
    assert tokens.take(done("a", "one three")) == [RESET, {"token": "one three"}]


def test_two_messages_written_concurrently_stay_complete() -> None:
    tokens, text = Tokens(), ""
    for event in [message("a"), message("b"), *(delta(name, f"{n}") for n in range(4) for name in "ab")]:
        for piece in tokens.take(event):
            text = "" if piece == RESET else text + piece["token"]
    assert text == tokens.text == "0123\n\n0123"


def test_a_replaced_item_of_another_turn_is_ignored() -> None:
    tokens = Tokens()
    assert tokens.take(message("old", "other words", kind="thread.item.replaced")) == []
