"""Messages: ids, citations, refusals, and events that providers omit."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from agents.testing import ModelStep, assistant_message, function_call
from chatkit.types import ThreadItemDoneEvent

from chatkit_server import AgentContext
from chatkit_server.memory import Transcript, turn_transcript
from tests.conversion.conftest import Conversation
from tests.conversion.raw import (
    FAKE_ID,
    added,
    call_item,
    delta,
    done,
    envelope,
    event,
    message,
    message_item,
    part_added,
    response,
    text_done,
)
from tests.stage import make_item, tool

URL = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 3}
FILE = {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 5}
NAMELESS = {"type": "file_path", "file_id": "f", "index": 1}
CONTAINER = {
    "type": "container_file_citation",
    "container_id": "c",
    "file_id": "f",
    "filename": "b.csv",
    "start_index": 1,
    "end_index": 7,
}
SOURCES = [
    {"type": "annotation", "source": {"type": "url", "title": "A", "url": "https://a.example"}, "index": 3},
    {"type": "annotation", "source": {"type": "file", "title": "a.pdf", "filename": "a.pdf"}, "index": 5},
    {"type": "annotation", "source": {"type": "file", "title": "b.csv", "filename": "b.csv"}, "index": 7},
]


def assistant_item(text: str, annotations: Any = ()) -> dict[str, Any]:
    """Return an assistant message as the client shows it."""
    return {
        "type": "assistant_message",
        "content": [{"type": "output_text", "text": text, "annotations": list(annotations)}],
    }


def shown_text(conversation: Conversation) -> str:
    """Return all text that the client shows."""
    return "".join(part["text"] for item in conversation.items for part in item["content"])


async def test_all_events_of_a_message_have_one_id_from_the_store(conversation: Conversation) -> None:
    events = await conversation.run(response(*message(0, "Good ", "morning.")))
    ids = {event.get("item", event)["id" if "item" in event else "item_id"] for event in events}
    assert len(ids) == 1
    assert next(iter(ids)).startswith("msg_")
    assert [event["type"] for event in events] == [
        "thread.item.added",
        *["thread.item.updated"] * 4,
        "thread.item.done",
    ]
    assert conversation.items == [assistant_item("Good morning.")]


@pytest.mark.parametrize("item_id", [FAKE_ID, "scripted-message"])
async def test_messages_with_the_same_upstream_id_are_separate_items(conversation: Conversation, item_id: str) -> None:
    """Two in one response, two responses in one run, and a second run (T5, T6)."""

    async def act(context: Any) -> str:
        return "done"

    first = [assistant_message("One", item_id=item_id), assistant_message("Two", item_id=item_id)]
    steps = [ModelStep(output=[*first, function_call("act", {}, call_id="c", item_id=item_id)])]
    steps.append(ModelStep(output=[assistant_message("Three", item_id=item_id)]))
    await conversation.run(*steps, tools=[tool("act", act)])
    await conversation.run(ModelStep(output=[assistant_message("Four", item_id=item_id)]))
    assert conversation.items == [
        assistant_item("One"),
        assistant_item("Two"),
        assistant_item("Three"),
        assistant_item("Four"),
    ]
    assert max(Counter(item["id"] for item in conversation.picture.items).values()) == 1


async def test_interleaved_messages_do_not_mix(conversation: Conversation) -> None:
    await conversation.run(
        response(
            added(0, message_item(done=False)),
            part_added(0),
            added(1, message_item(done=False)),
            part_added(1),
            delta(0, "A"),
            delta(1, "B"),
            delta(0, "a"),
            delta(1, "b"),
            done(1, message_item("Bb")),
            done(0, message_item("Aa")),
        )
    )
    assert conversation.items == [assistant_item("Aa"), assistant_item("Bb")]


async def test_text_of_a_message_that_was_never_added_is_shown(conversation: Conversation) -> None:
    events = await conversation.run(response(delta(0, "out of "), delta(0, "the blue"), output=[]))
    kinds = [event.get("update", event)["type"].rpartition(".")[2] for event in events]
    assert kinds == ["added", "added", "text_delta", "text_delta"]  # the item, its part, the text
    assert shown_text(conversation) == "out of the blue"


async def test_a_message_without_deltas_is_shown(conversation: Conversation) -> None:
    await conversation.run(response(done(0, message_item("All at once."))))
    assert conversation.items == [assistant_item("All at once.")]


async def test_parts_of_a_message_keep_their_order(conversation: Conversation) -> None:
    item = message_item("one")
    item["content"].append(message_item("two")["content"][0])
    events = [added(0, message_item(done=False)), part_added(0), delta(0, "one"), part_added(0, 1), delta(0, "two", 1)]
    await conversation.run(response(*events, text_done(0, "two", 1), done(0, item)))
    assert [part["text"] for part in conversation.items[0]["content"]] == ["one", "two"]


async def test_citations_are_kept_to_the_end(conversation: Conversation) -> None:
    """Stock chatkit drops them when the text is done (T35). One that cannot be shown leaves no gap."""
    events = message(0, "See this.", annotations=[URL, NAMELESS, FILE, CONTAINER])
    updates = [event["update"] for event in await conversation.run(response(*events)) if "update" in event]
    added_updates = [update for update in updates if update["type"].endswith("annotation_added")]
    assert [(update["annotation_index"], update["annotation"]) for update in added_updates] == list(enumerate(SOURCES))
    assert updates[-1]["content"]["annotations"] == SOURCES
    assert conversation.items == [assistant_item("See this.", SOURCES)]  # although the done item has none


async def test_citations_that_only_the_done_item_has_are_shown(conversation: Conversation) -> None:
    item = message_item("See this.", annotations=[URL])
    await conversation.run(response(added(0, message_item(done=False)), delta(0, "See this."), done(0, item)))
    assert conversation.items == [assistant_item("See this.", SOURCES[:1])]


async def test_a_refusal_streams_and_is_the_answer(conversation: Conversation) -> None:
    """Stock chatkit shows nothing of it before its end, and the SDK raises an error (T36)."""
    where = {"item_id": FAKE_ID, "output_index": 0, "content_index": 0}
    part = {"type": "refusal", "refusal": ""}
    events = await conversation.run(
        response(
            added(0, message_item(done=False)),
            event("response.content_part.added", **where, part=part),
            event("response.refusal.delta", **where, delta="I will "),
            event("response.refusal.delta", **where, delta="not."),
            event("response.refusal.done", **where, refusal="I will not."),
            done(0, message_item(refusal="I will not.")),
        )
    )
    deltas = [event["update"]["delta"] for event in events if event.get("update", {}).get("type", "")[-5:] == "delta"]
    assert deltas == ["I will ", "not."]
    assert conversation.items == [assistant_item("I will not.")]


async def test_items_of_a_tool_are_between_the_messages_before_and_after_it(conversation: Conversation) -> None:
    async def act(context: Any) -> str:
        for _ in range(3):
            item = make_item("task", context.thread, context.generate_id("task"))
            await context.stream(ThreadItemDoneEvent(item=item))
            await asyncio.sleep(0)
        return "done"

    call = function_call("act", {}, call_id="c")
    steps = [ModelStep(output=[assistant_message("Before"), call]), ModelStep(output=[assistant_message("After")])]
    await conversation.run(*steps, tools=[tool("act", act)])
    kinds = [item["type"] for item in conversation.items]
    assert kinds == ["assistant_message", "task", "task", "task", "assistant_message"]


async def test_a_failed_response_raises_the_providers_error_code(conversation: Conversation) -> None:
    from chatkit_server.errors.failures import ProviderFailure

    error = {"code": "rate_limit_exceeded", "message": "slow down"}
    failed = envelope("response.failed", error=error, status="failed")
    events = [envelope("response.created"), added(0, message_item(done=False)), part_added(0), delta(0, "Hal"), failed]
    with pytest.raises(ProviderFailure) as caught:
        await conversation.run(ModelStep.stream(events))
    assert caught.value.code == "rate_limit_exceeded"
    assert conversation.items == [assistant_item("Hal")]


async def test_text_that_only_the_finished_response_contains_is_shown_once(conversation: Conversation) -> None:
    await conversation.run(response(output=[message_item("Only here.")]))
    begun = (added(0, message_item(done=False)), delta(0, "Cut"))
    await conversation.run(response(*begun, output=[message_item("Cut off.")]))
    await conversation.run(response(*message(0, "Told."), output=[message_item("Told.")]))
    assert [item["content"][0]["text"] for item in conversation.items] == ["Only here.", "Cut off.", "Told."]


async def test_a_call_that_only_the_finished_response_contains_is_replayed(conversation: Conversation) -> None:
    async def act(context: AgentContext) -> str:
        return "done"

    transcript = Transcript()
    turn_transcript.set(transcript)
    only_call = response(output=[message_item("I look."), call_item("act", "call_1")])
    await conversation.run(only_call, response(*message(0, "Done.")), tools=[tool("act", act)])
    assert [item["content"][0]["text"] for item in conversation.items] == ["I look.", "Done."]
    entries = (transcript.to_json() or {})["entries"]
    assert [entry["item"]["type"] for entry in entries if "item" in entry] == ["function_call", "function_call_output"]
