"""The parts of a replay; test_memory.py tests it through the app."""

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


ANSWER = assistant_message("So it is.", id="msg_1")
COMPLETE_MESSAGE = {"shown": "msg_1", "message": {"id": "msg_provider", "phase": "final_answer"}}
PARTIAL_MESSAGE = {"shown": "msg_1"}


async def replayed_items(*entries: Json, same: bool = True, items: Any = (ANSWER,)) -> list[tuple[str, str | None]]:
    """Replay the entries; return (type, id) of each input item."""
    replayed = await replay_turn(list(items), list(entries), SafeConverter(), is_same_model=same)
    return [(item.get("type", "message"), item.get("id")) for item in replayed]


async def test_reasoning_and_hosted_calls_are_sent_only_to_the_model_that_produced_them() -> None:
    entries = (thought(1), search(1), thought(2), COMPLETE_MESSAGE)
    complete = [("reasoning", "rs_1"), ("web_search_call", "ws_1"), ("reasoning", "rs_2"), ("message", "msg_provider")]
    assert await replayed_items(*entries) == complete
    assert await replayed_items(*entries, same=False) == [("message", None)]


async def test_reasoning_before_a_partial_message_is_dropped_and_earlier_reasoning_is_kept() -> None:
    assert await replayed_items(thought(1), search(1), thought(2), PARTIAL_MESSAGE) == [
        ("reasoning", "rs_1"),
        ("web_search_call", "ws_1"),
        ("message", None),
    ]


async def test_reasoning_is_dropped_if_the_item_after_it_cannot_be_sent() -> None:
    assert await replayed_items(thought(), {"left_out": "computer_call"}, PARTIAL_MESSAGE) == [("message", None)]
    assert await replayed_items(thought(), COMPLETE_MESSAGE, items=()) == []


async def test_reasoning_before_a_deleted_item_is_not_attached_to_the_next_one() -> None:
    deleted = {"shown": "msg_gone", "message": {"id": "msg_provider"}}
    assert await replayed_items(thought(), deleted, call(), output(), items=()) == [
        ("function_call", None),
        ("function_call_output", None),
    ]


async def test_the_phase_of_a_message_is_replayed() -> None:
    (message,) = await replay_turn([ANSWER], [COMPLETE_MESSAGE], SafeConverter(), is_same_model=True)
    assert (message["phase"], "id" in message) == ("final_answer", False)
    (message,) = await replay_turn([ANSWER], [COMPLETE_MESSAGE], SafeConverter(), is_same_model=False)
    assert "phase" not in message


async def test_items_without_an_entry_keep_their_place_in_the_thread() -> None:
    question = user_message("Why?", id="msg_user")
    replayed = await replay_turn(
        [question, ANSWER], [call(), output(), PARTIAL_MESSAGE], SafeConverter(), is_same_model=False
    )
    assert [item.get("type") for item in replayed] == ["message", "function_call", "function_call_output", "message"]
    assert [item.get("role") for item in replayed][::3] == ["user", "assistant"]


def test_the_output_of_an_approved_call_is_found_in_a_later_turn() -> None:
    items = [call()["item"], {"role": "user", "content": "Yes"}, output()["item"]]
    kinds = [item.get("type", "message") for item in pair_calls(items, is_unique=True)]
    assert kinds == ["function_call", "function_call_output", "message"]


def test_parallel_calls_precede_their_outputs_and_each_has_one() -> None:
    items = [call("a")["item"], call("b")["item"], output("b")["item"], output("unknown")["item"]]
    paired = pair_calls(items, is_unique=True)
    assert [(item["type"], item["call_id"]) for item in paired] == [
        ("function_call", "a"),
        ("function_call", "b"),
        ("function_call_output", "a"),
        ("function_call_output", "b"),
    ]
    assert [item["output"] for item in paired[2:]] == [INTERRUPTED, "done"]


def test_calls_with_ambiguous_ids_get_unique_stable_ids() -> None:
    items = [call("0")["item"], output("0", "one")["item"], call("0")["item"], output("0", "two")["item"]]
    first, again = pair_calls(items), pair_calls([*items, {"role": "user", "content": "And?"}])
    ids = [item["call_id"] for item in first]
    assert (ids[0], ids[2]) == (ids[1], ids[3])
    assert len(set(ids)) == 2
    assert again[:4] == first


def test_a_transcript_leaves_out_files_and_truncates_long_outputs() -> None:
    transcript = Transcript()
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_image", "image_url": "https://images.example/1.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "AAAA"},
    ]
    transcript.add_item({"type": "function_call_output", "call_id": "c", "output": parts})
    transcript.add_item({"type": "function_call_output", "call_id": "d", "output": "x" * (MAX_OUTPUT + 1)})
    transcript.add_item({"type": "computer_call_output", "call_id": "e", "output": {"image_url": "data:,AAAA"}})
    saved = transcript.to_json()
    assert saved is not None
    assert saved["entries"][0]["item"]["output"] == [
        {"type": "input_text", "text": "[an image, not stored]"},
        parts[1],
        {"type": "input_text", "text": "[a.pdf, not stored]"},
    ]
    assert saved["entries"][1]["item"]["output"].endswith("the rest is not stored.]")
    assert saved["entries"][2] == {"left_out": "computer_call_output"}


def test_an_empty_transcript_is_none() -> None:
    transcript = Transcript()
    assert transcript.to_json() is None
    beginning = transcript.mark()
    transcript.add_shown("msg_1")
    transcript.revert(beginning)
    assert transcript.to_json() is None


def test_the_token_estimate_of_a_file_does_not_depend_on_its_bytes() -> None:
    small, large = ({"image_url": "data:image/png;base64," + "A" * size} for size in (10, 1_000_000))
    assert count_tokens(small) == count_tokens(large)
    assert count_tokens(large) >= FILE_TOKENS
    assert count_tokens("word " * 100) == 126


def test_a_text_that_begins_like_a_data_url_counts_by_its_length() -> None:
    text = "data:" + "word " * 100_000
    assert count_tokens({"type": "input_text", "text": text}) > 100_000
    assert count_tokens({"type": "function_call_output", "output": text}) > 100_000
