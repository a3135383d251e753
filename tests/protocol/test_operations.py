"""Each of the sixteen operations, through the real app over HTTP."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import ANY

import pytest
from chatkit.actions import Action
from chatkit.store import AttachmentStore
from chatkit.types import (
    AttachmentCreateParams,
    AudioInput,
    FileAttachment,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)

from chatkit_server import AgentContext, RequestContext
from chatkit_store import new_id
from tests.protocol.requirements import covers
from tests.serving import Served, Tab
from tests.stage import Stage, make_item, stream_item
from tests.support.chatkit import text_of, user_input

pytestmark = pytest.mark.asyncio(loop_scope="module")


def message(text: str, thread_id: str) -> dict[str, Any]:
    """Return a user message as the server sends it."""
    return {
        "id": ANY,
        "thread_id": thread_id,
        "created_at": ANY,
        "type": "user_message",
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "quoted_text": "",
        "inference_options": {},
    }


def answer(text: str, thread_id: str) -> dict[str, Any]:
    """Return an assistant message as the server sends it."""
    return {
        "id": ANY,
        "thread_id": thread_id,
        "created_at": ANY,
        "type": "assistant_message",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


@covers("threads.create", "sse.options")
async def test_a_first_message_creates_a_thread_and_is_answered(stage: Stage, tab: Tab) -> None:
    stage.play("Good morning.")
    reply = await tab.create("Hello")
    created, echo, options, added, *updates, done = reply.events
    thread_id = reply.thread_id
    assert created == {
        "type": "thread.created",
        "thread": {
            "id": thread_id,
            "title": "Hello",
            "created_at": ANY,
            "status": {"type": "active"},
            "metadata": {},
            "items": {"data": [], "has_more": False},
        },
    }
    assert echo == {"type": "thread.item.done", "item": message("Hello", thread_id)}
    assert options == {"type": "stream_options", "stream_options": {"allow_cancel": True}}
    assert added["type"] == "thread.item.added"
    assert {event["type"] for event in updates} == {"thread.item.updated"}
    assert done == {"type": "thread.item.done", "item": answer("Good morning.", thread_id)}
    assert added["item"]["id"] == done["item"]["id"]
    assert tab.pictures[thread_id].items == (await tab.reload(thread_id)).items


@covers("threads.add_user_message")
async def test_a_further_message_is_echoed_and_answered_with_the_thread_as_context(stage: Stage, tab: Tab) -> None:
    model = stage.play("One.", "Two.")
    first = await tab.create("Count to one")
    reply = await tab.send(first.thread_id, "And on", quoted_text="One.")
    assert reply.types[:2] == ["thread.item.done", "stream_options"]
    assert reply.user_item == message("And on", first.thread_id) | {"quoted_text": "One."}
    assert reply.text == "Two."
    call = model.last_call
    assert call is not None
    words = str(call.input)
    assert [words.find(text) >= 0 for text in ("Count to one", "One.", "And on")] == [True] * 3
    assert tab.pictures[first.thread_id].items == (await tab.reload(first.thread_id)).items


@covers("threads.add_client_tool_output", "item.client_tool_call")
async def test_the_output_of_a_client_tool_completes_the_call_and_resumes_the_run(
    stage: Stage, tab: Tab, served: Served
) -> None:
    async def ask_the_page(context: AgentContext) -> str:
        from chatkit.agents import ClientToolCall

        context.client_tool_call = ClientToolCall(name="look", arguments={"at": "page"})
        return ""

    model = stage.play_client_tool(ask_the_page, "I see a cat.")
    first = await tab.create("What is there?")
    thread_id = first.thread_id
    calls = [event for event in first.events if event.get("item", {}).get("type") == "client_tool_call"]
    assert calls == [
        {
            "type": "thread.item.done",
            "item": {
                "id": ANY,
                "thread_id": thread_id,
                "created_at": ANY,
                "type": "client_tool_call",
                "status": "pending",
                "call_id": "call-of-the-model",
                "name": "look",
                "arguments": {"at": "page"},
            },
        }
    ]
    reply = await tab.tool_output(thread_id, {"animal": "cat"})
    assert reply.types[0] == "stream_options"
    assert reply.text == "I see a cat."
    call = model.last_call
    assert call is not None
    inputs = [entry for entry in call.input if "call_id" in entry]
    assert [entry["type"] for entry in inputs] == ["function_call", "function_call_output"]
    assert len({entry["call_id"] for entry in inputs}) == 1
    assert "cat" in str(inputs[1]["output"])
    item = await served.services.store.load_item(thread_id, calls[0]["item"]["id"], await served.owner(thread_id))
    assert item.model_dump(include={"status", "output"}) == {"status": "completed", "output": {"animal": "cat"}}
    assert [item["type"] for item in tab.pictures[thread_id].items] == ["user_message", "assistant_message"]
    assert tab.pictures[thread_id].items == (await tab.reload(thread_id)).items


@covers("threads.add_structured_input")
async def test_answers_are_saved_in_the_question_and_the_run_resumes(stage: Stage, tab: Tab) -> None:
    async def ask(context: AgentContext) -> str:
        await stream_item(context, "structured_input")
        return "asked"

    stage.play_tool(ask, after="Please choose.")
    first = await tab.create("Ask me")
    thread_id = first.thread_id
    (question,) = tab.pictures[thread_id].of_type("structured_input")
    model = stage.play("Thank you.")
    answers = {"q1": {"values": ["b", "a"], "skipped": False}, "q2": {"values": ["so"]}}
    params = {"thread_id": thread_id, "item_id": question["id"], "input": {"status": "answered", "answers": answers}}
    reply = await tab.post("threads.add_structured_input", params)
    assert reply.types[:2] == ["thread.item.replaced", "stream_options"]
    assert reply.events[0]["item"] == question | {
        "status": "answered",
        "inputs": [
            question["inputs"][0] | {"answer": {"values": ["b"], "skipped": False}},  # one choice only
            question["inputs"][1] | {"answer": {"values": ["so"], "skipped": False}},
        ],
    }
    assert reply.text == "Thank you."
    call = model.last_call
    assert call is not None
    assert "Which?" in str(call.input)
    assert tab.pictures[thread_id].items == (await tab.reload(thread_id)).items


@covers("threads.retry_after_item")
async def test_a_retry_replaces_the_old_answer(stage: Stage, tab: Tab, served: Served) -> None:
    model = stage.play("First try.", "Second try.")
    first = await tab.create("Try")
    reply = await tab.retry(first.thread_id, first.user_item["id"])
    assert reply.types[0] == "stream_options"
    assert reply.text == "Second try."
    assert tab.pictures[first.thread_id].texts() == [("user", "Try"), ("assistant", "Second try.")]
    assert tab.pictures[first.thread_id].items == (await tab.reload(first.thread_id)).items
    call = model.last_call
    assert call is not None
    assert "First try." not in str(call.input)
    rows = await served.rows("SELECT role, text FROM messages WHERE thread_id = :id", id=first.thread_id)
    assert rows == [{"role": "user", "text": "Try"}, {"role": "assistant", "text": "Second try."}]


@covers("threads.custom_action")
async def test_actions_of_a_widget_and_of_the_page_are_answered_by_a_stream(stage: Stage, tab: Tab) -> None:
    async def press(
        thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        stage.seen.append((action.payload, sender and sender.id))
        if sender is not None:
            pressed = sender.model_copy(update={"copy_text": "pressed"})
            yield ThreadItemReplacedEvent(item=pressed)
        yield ThreadItemDoneEvent(item=make_item("task", thread, new_id("msg")))

    async def show(context: AgentContext) -> str:
        await stream_item(context, "widget")
        return "shown"

    stage.play_tool(show)
    stage.actions["press"] = press
    first = await tab.create("Show it")
    thread_id = first.thread_id
    (widget,) = tab.pictures[thread_id].of_type("widget")
    by_widget = await tab.action(thread_id, "press", {"n": 1}, item_id=widget["id"])
    by_page = await tab.action(thread_id, "press", {"n": 2})
    assert stage.seen == [({"n": 1}, widget["id"]), ({"n": 2}, None)]
    assert by_widget.types == ["stream_options", "thread.item.replaced", "thread.item.done"]
    assert by_page.types == ["stream_options", "thread.item.done"]
    picture = tab.pictures[thread_id]
    assert picture.of_type("widget") == [widget | {"copy_text": "pressed"}]
    assert len(picture.of_type("task")) == 2
    assert picture.items == (await tab.reload(thread_id)).items


@covers("threads.get_by_id")
async def test_a_thread_is_loaded_with_its_items_oldest_first(stage: Stage, tab: Tab) -> None:
    stage.play("Hi.")
    reply = await tab.create("Hello")
    assert await tab.get(reply.thread_id) == {
        "id": reply.thread_id,
        "title": "Hello",
        "created_at": ANY,
        "status": {"type": "active"},
        "metadata": {},
        "items": {"data": [message("Hello", reply.thread_id), answer("Hi.", reply.thread_id)], "has_more": False},
    }


@covers("threads.list")
async def test_threads_are_listed_newest_first_or_oldest_first_on_request(stage: Stage, tab: Tab) -> None:
    stage.play("1", "2", "3")
    thread_ids = [(await tab.create(f"Thread {n}")).thread_id for n in range(3)]
    assert [thread["id"] for thread in (await tab.list())["data"]] == thread_ids[::-1]
    assert [thread["id"] for thread in (await tab.list(order="asc"))["data"]] == thread_ids
    page = await tab.list(limit=2)
    assert [thread["id"] for thread in page["data"]] == [thread_ids[2], thread_ids[1]]
    assert (page["has_more"], page["after"]) == (True, thread_ids[1])
    second_page = await tab.list(limit=2, after=thread_ids[1])
    assert [thread["id"] for thread in second_page["data"]] == [thread_ids[0]]
    assert second_page["has_more"] is False
    assert all(thread["items"] == {"data": [], "has_more": False} for thread in page["data"])


@covers("threads.update")
async def test_a_thread_is_renamed(stage: Stage, tab: Tab) -> None:
    stage.play("Hi.")
    thread_id = (await tab.create("Hello")).thread_id
    reply = await tab.post("threads.update", {"thread_id": thread_id, "title": "Greetings"})
    assert (reply.status, reply.body["id"], reply.body["title"]) == (200, thread_id, "Greetings")
    assert (await tab.get(thread_id))["title"] == "Greetings"
    assert [thread["title"] for thread in await tab.history()] == ["Greetings"]


@covers("threads.delete")
async def test_a_thread_is_deleted_with_everything_that_belongs_to_it(stage: Stage, tab: Tab, served: Served) -> None:
    stage.play("Hi.")
    reply = await tab.create("Hello")
    await tab.feedback(reply.thread_id, [reply.user_item["id"]])
    gone = await tab.post("threads.delete", {"thread_id": reply.thread_id})
    assert (gone.status, gone.body) == (200, {})
    assert (await tab.post("threads.get_by_id", {"thread_id": reply.thread_id})).status == 404
    assert (await tab.post("threads.delete", {"thread_id": reply.thread_id})).status == 404
    for table in ("thread_items", "turns", "feedback"):
        assert await served.rows(f"SELECT * FROM {table} WHERE thread_id = :id", id=reply.thread_id) == []
    assert await tab.history() == []


@covers("items.list")
async def test_items_are_listed_in_the_requested_order(stage: Stage, tab: Tab) -> None:
    stage.play("1", "2")
    thread_id = (await tab.create("a")).thread_id
    await tab.send(thread_id, "b")
    ascending = (await tab.items(thread_id))["data"]
    assert [text_of(item) for item in ascending] == ["a", "1", "b", "2"]
    assert (await tab.items(thread_id, order="desc"))["data"] == ascending[::-1]
    page = await tab.items(thread_id, limit=2, after=ascending[0]["id"])
    assert page == {"data": ascending[1:3], "has_more": True, "after": ascending[2]["id"]}


@covers("items.feedback")
async def test_a_vote_is_saved_and_a_later_one_replaces_it(stage: Stage, tab: Tab, served: Served) -> None:
    stage.play("Hi.")
    reply = await tab.create("Hello")
    ids = [item["id"] for item in tab.pictures[reply.thread_id].items]
    assert (await tab.feedback(reply.thread_id, ids)).body == {}
    assert (await tab.feedback(reply.thread_id, ids[1:], "negative")).body == {}
    rows = await served.rows("SELECT item_id, kind FROM feedback WHERE thread_id = :id", id=reply.thread_id)
    assert {row["item_id"]: row["kind"] for row in rows} == {ids[0]: "positive", ids[1]: "negative"}


class Folder(AttachmentStore[RequestContext]):
    """An attachment store as an integration writes it."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def create_attachment(self, input: AttachmentCreateParams, context: RequestContext) -> FileAttachment:
        return FileAttachment(
            id=new_id("atc"), name=input.name, mime_type=input.mime_type, metadata={"path": "/secret/place"}
        )

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        self.deleted.append(attachment_id)


@covers("attachments.create", "attachments.delete", "page.no_metadata")
async def test_with_an_attachment_store_files_are_created_attached_and_deleted(
    stage: Stage, tab: Tab, served: Served
) -> None:
    model = stage.play("A file.")
    files = served.services.server.attachment_store = Folder()
    try:
        created = await tab.post("attachments.create", {"name": "a.txt", "size": 3, "mime_type": "text/plain"})
        assert created.body == {"id": ANY, "name": "a.txt", "mime_type": "text/plain", "type": "file"}
        reply = await tab.create("See this", attachments=[created.body["id"]])
        attachment = created.body | {"thread_id": reply.thread_id}
        assert reply.user_item["attachments"] == [attachment]
        assert (await tab.reload(reply.thread_id)).items[0]["attachments"] == [attachment]
        call = model.last_call
        assert call is not None
        assert "a.txt" in str(call.input)
        gone = await tab.post("attachments.delete", {"attachment_id": created.body["id"]})
        assert (gone.status, gone.body, files.deleted) == (200, {}, [created.body["id"]])
    finally:
        served.services.server.attachment_store = None


@covers("attachments.create", "attachments.delete", "input.transcribe", "threads.sync_custom_action")
@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("attachments.create", {"name": "a", "size": 1, "mime_type": "text/plain"}),
        ("attachments.delete", {"attachment_id": "atc_1"}),
        ("input.transcribe", {"audio_base64": "AAAA", "mime_type": "audio/webm"}),
        ("threads.sync_custom_action", {"thread_id": "", "action": {"type": "x", "payload": {}}}),
    ],
)
async def test_an_unavailable_feature_is_a_clear_error(
    stage: Stage, tab: Tab, operation: str, params: dict[str, Any]
) -> None:
    stage.play("Hi.")
    if "thread_id" in params:
        params = params | {"thread_id": (await tab.create("Hello")).thread_id}
    reply = await tab.post(operation, params)
    assert (reply.status, reply.body["code"]) == (501, "not_available")


@covers("input.transcribe")
async def test_with_dictation_speech_becomes_text(stage: Stage, tab: Tab) -> None:
    stage.transcript = "hello there"
    audio = base64.b64encode(b"\x00\xffsound").decode()
    reply = await tab.post("input.transcribe", {"audio_base64": audio, "mime_type": "audio/webm;codecs=opus"})
    assert (reply.status, reply.body) == (200, {"text": "hello there"})
    assert stage.seen == [AudioInput(data=b"\x00\xffsound", mime_type="audio/webm;codecs=opus")]
    wrong = await tab.post("input.transcribe", {"audio_base64": "not base64!", "mime_type": "audio/webm"})
    assert (wrong.status, wrong.body["code"]) == (400, "invalid_params")


@covers("threads.sync_custom_action")
async def test_the_item_that_a_sync_action_updates_is_returned_and_saved(stage: Stage, tab: Tab) -> None:
    async def show(context: AgentContext) -> str:
        await stream_item(context, "widget")
        return "shown"

    def update(thread: ThreadMetadata, sender: WidgetItem | None) -> ThreadItem | None:
        return sender and sender.model_copy(update={"copy_text": "updated"})

    stage.play_tool(show)
    stage.sync_answer = update
    thread_id = (await tab.create("Show it")).thread_id
    (widget,) = tab.pictures[thread_id].of_type("widget")
    params = {"thread_id": thread_id, "item_id": widget["id"], "action": {"type": "x", "payload": {}}}
    reply = await tab.post("threads.sync_custom_action", params)
    assert (reply.status, reply.body) == (200, {"updated_item": widget | {"copy_text": "updated"}})
    assert (await tab.reload(thread_id)).of_type("widget") == [widget | {"copy_text": "updated"}]
    of_the_page = await tab.post("threads.sync_custom_action", params | {"item_id": None})
    assert (of_the_page.status, of_the_page.body) == (200, {})


@covers("threads.create")
async def test_tags_and_tool_choice_of_a_message_are_saved(stage: Stage, tab: Tab) -> None:
    model = stage.play("Yes.")
    tag = {"type": "input_tag", "id": "c1", "text": "Ada", "data": {"n": 1}, "interactive": True}
    content = [{"type": "input_text", "text": "Ask "}, tag]
    options = {"tool_choice": {"id": "search"}}
    reply = await tab.post(
        "threads.create", {"input": user_input("") | {"content": content, "inference_options": options}}
    )
    item = reply.user_item
    assert (item["content"], item["inference_options"]) == (content, options)
    assert (await tab.reload(reply.thread_id)).items[0] == item
    call = model.last_call
    assert call is not None
    assert "Ada" in str(call.input)
