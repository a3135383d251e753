"""What a model is told of a turn, piece by piece; the whole of it is tested through the app (tests/turns)."""

from typing import Any

from chatkit_server.memory.call_pairs import INTERRUPTED, pair_calls
from chatkit_server.memory.converter import SafeConverter
from chatkit_server.memory.replay import replay_turn
from chatkit_server.memory.token_estimate import FILE_TOKENS, count_tokens
from chatkit_server.memory.transcript import MAX_OUTPUT, Transcript
from tests.store.factories import assistant_message, user_message

Json = dict[str, Any]


def thought(number: int = 1) -> Json:
    return {"item": {"type": "reasoning", "id": f"rs_{number}", "summary": []}}


def search(number: int = 1) -> Json:
    return {"item": {"type": "web_search_call", "id": f"ws_{number}", "status": "completed", "action": {}}}


def call(call_id: str = "call_1", **more: Any) -> Json:
    item = {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "act", "arguments": "{}"}
    return {"item": item | more}


def output(call_id: str = "call_1", text: str = "done") -> Json:
    return {"item": {"type": "function_call_output", "call_id": call_id, "output": text}}


ANSWER = assistant_message("So it is.", id="msg_ours")
WHOLE = {"shown": "msg_ours", "message": {"id": "msg_theirs", "phase": "final_answer"}}
CUT = {"shown": "msg_ours"}


async def told(*entries: Json, same: bool = True, items: Any = (ANSWER,)) -> list[tuple[str, str | None]]:
    """(type, id) of each item."""
    replayed = await replay_turn(list(items), list(entries), SafeConverter(), is_same_model=same)
    return [(item.get("type", "message"), item.get("id")) for item in replayed]


async def test_reasoning_and_searches_go_back_to_the_model_they_came_from() -> None:
    entries = (thought(1), search(1), thought(2), WHOLE)
    whole = [("reasoning", "rs_1"), ("web_search_call", "ws_1"), ("reasoning", "rs_2"), ("message", "msg_theirs")]
    assert await told(*entries) == whole
    assert await told(*entries, same=False) == [("message", None)]


async def test_reasoning_whose_follower_was_cut_goes_with_it_and_keeps_what_stood_before() -> None:
    assert await told(thought(1), search(1), thought(2), CUT) == [
        ("reasoning", "rs_1"),
        ("web_search_call", "ws_1"),
        ("message", None),
    ]


async def test_reasoning_goes_where_its_follower_cannot_go_back() -> None:
    assert await told(thought(), {"left_out": "computer_call"}, CUT) == [("message", None)]
    assert await told(thought(), WHOLE, items=()) == []


async def test_reasoning_finds_no_other_follower_where_its_own_has_vanished() -> None:
    gone = {"shown": "msg_gone", "message": {"id": "msg_theirs"}}
    assert await told(thought(), gone, call(), output(), items=()) == [
        ("function_call", None),
        ("function_call_output", None),
    ]


async def test_the_phase_of_a_message_goes_back_with_it() -> None:
    (message,) = await replay_turn([ANSWER], [WHOLE], SafeConverter(), is_same_model=True)
    assert (message["phase"], "id" in message) == ("final_answer", False)
    (message,) = await replay_turn([ANSWER], [WHOLE], SafeConverter(), is_same_model=False)
    assert "phase" not in message


async def test_items_that_no_entry_names_stand_where_the_thread_has_them() -> None:
    question = user_message("Why?", id="msg_user")
    replayed = await replay_turn([question, ANSWER], [call(), output(), CUT], SafeConverter(), is_same_model=False)
    assert [item.get("type") for item in replayed] == ["message", "function_call", "function_call_output", "message"]
    assert [item.get("role") for item in replayed][::3] == ["user", "assistant"]


def test_the_output_of_an_approved_call_comes_from_a_later_turn() -> None:
    items = [call()["item"], {"role": "user", "content": "Yes"}, output()["item"]]
    kinds = [item.get("type", "message") for item in pair_calls(items, is_unique=True)]
    assert kinds == ["function_call", "function_call_output", "message"]


def test_parallel_calls_come_before_their_outputs_and_none_is_left_open() -> None:
    items = [call("a")["item"], call("b")["item"], output("b")["item"], output("nobody's")["item"]]
    paired = pair_calls(items, is_unique=True)
    assert [(item["type"], item["call_id"]) for item in paired] == [
        ("function_call", "a"),
        ("function_call", "b"),
        ("function_call_output", "a"),
        ("function_call_output", "b"),
    ]
    assert [item["output"] for item in paired[2:]] == [INTERRUPTED, "done"]


def test_calls_whose_ids_may_come_again_get_ids_that_stay_the_same() -> None:
    items = [call("0")["item"], output("0", "one")["item"], call("0")["item"], output("0", "two")["item"]]
    first, again = pair_calls(items), pair_calls([*items, {"role": "user", "content": "And?"}])
    ids = [item["call_id"] for item in first]
    assert (ids[0], ids[2]) == (ids[1], ids[3])
    assert len(set(ids)) == 2
    assert again[:4] == first


def test_files_are_left_out_of_a_transcript_and_long_outputs_are_cut() -> None:
    transcript = Transcript()
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_image", "image_url": "https://images.example/1.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "AAAA"},
    ]
    transcript.add_item({"type": "function_call_output", "call_id": "c", "output": parts})
    transcript.add_item({"type": "function_call_output", "call_id": "d", "output": "x" * (MAX_OUTPUT + 1)})
    transcript.add_item({"type": "computer_call_output", "call_id": "e", "output": {"image_url": "data:,AAAA"}})
    kept = transcript.to_json()
    assert kept is not None
    assert kept["entries"][0]["item"]["output"] == [
        {"type": "input_text", "text": "[an image, not stored]"},
        parts[1],
        {"type": "input_text", "text": "[a.pdf, not stored]"},
    ]
    assert kept["entries"][1]["item"]["output"].endswith("the rest is not stored.]")
    assert kept["entries"][2] == {"left_out": "computer_call_output"}


def test_an_empty_transcript_is_none() -> None:
    transcript = Transcript()
    assert transcript.to_json() is None
    transcript.add_shown("msg_1")
    transcript.clear()
    assert transcript.to_json() is None


def test_a_file_counts_by_what_the_model_sees_of_it() -> None:
    small, large = ({"image_url": "data:image/png;base64," + "A" * size} for size in (10, 1_000_000))
    assert count_tokens(small) == count_tokens(large)
    assert count_tokens(large) >= FILE_TOKENS
    assert count_tokens("word " * 100) == 126


def test_a_text_counts_by_its_length_whatever_it_begins_with() -> None:
    text = "data:" + "word " * 100_000
    assert count_tokens({"type": "input_text", "text": text}) > 100_000
    assert count_tokens({"type": "function_call_output", "output": text}) > 100_000
