"""Follow-ups in a thread: outputs of client tools, answers to questions, retries."""

from typing import Any

import pytest
from agents.testing import function_call
from chatkit.agents import ClientToolCall
from chatkit.types import HiddenContextItem, ThreadItemDoneEvent

from chatkit_server import AgentContext
from tests.protocol.requirements import covers
from tests.serving import Served, Tab
from tests.stage import Stage, make_item, stream_item, tool
from tests.support.chatkit import text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask_the_page(context: AgentContext) -> str:
    """Call the page's tool `look`."""
    context.client_tool_call = ClientToolCall(name="look", arguments={"at": "page"})
    return ""


@covers("tool.hidden_between")
async def test_an_output_finds_its_call_behind_hidden_items_and_only_once(
    stage: Stage, tab: Tab, served: Served
) -> None:
    stage.play_client_tool(ask_the_page, "I see.")
    thread_id = (await tab.create("Look")).thread_id
    thread, context = await served.load_thread(thread_id), await served.owner(thread_id)
    hidden = make_item("hidden_context_item", thread, "hcx_between" + thread_id)
    assert isinstance(hidden, HiddenContextItem)
    await served.services.store.add_thread_item(thread_id, hidden, context)
    assert (await tab.tool_output(thread_id, {"seen": "cat"})).text == "I see."
    again = await tab.tool_output(thread_id, {"seen": "dog"})
    assert again.types == ["error"]
    calls = [item for item in (await tab.items(thread_id))["data"] if item["type"] == "client_tool_call"]
    assert [(call["status"], call["output"]) for call in calls] == [("completed", {"seen": "cat"})]


@covers("tool.abandoned")
async def test_a_thread_whose_client_tool_never_answered_accepts_the_next_message(stage: Stage, tab: Tab) -> None:
    model = stage.play_client_tool(ask_the_page, "Never mind.")
    thread_id = (await tab.create("Look")).thread_id
    assert (await tab.send(thread_id, "Forget it")).text == "Never mind."
    call = model.last_call
    assert call is not None
    pair = [entry["type"] for entry in call.input if "call_id" in entry]
    assert pair == ["function_call", "function_call_output"]  # OpenAI rejects a call without an output
    assert "continued without it" in str(call.input)
    assert (await tab.tool_output(thread_id, {"seen": "cat"})).types == ["error"]  # too late


@covers("question.skipped")
@pytest.mark.parametrize(
    ("response", "status", "answers"),
    [
        ({"status": "skipped"}, "skipped", [{"values": [], "skipped": True}] * 2),
        (
            {"status": "skipped", "answers": {"q1": {"values": ["a"]}}},
            "skipped",
            [{"values": [], "skipped": True}] * 2,
        ),
        (
            {"answers": {"q1": {"values": ["own words"]}, "q2": {"skipped": True}, "q3": {"values": ["x"]}}},
            "answered",
            [{"values": ["own words"], "skipped": False}, {"values": [], "skipped": True}],
        ),
        ({"answers": {"q2": {"values": []}}}, "answered", [{"values": [], "skipped": True}] * 2),
    ],
)
async def test_skipped_and_missing_answers_are_distinguished(
    stage: Stage, tab: Tab, response: dict[str, Any], status: str, answers: list[Any]
) -> None:
    async def ask(context: AgentContext) -> str:
        await stream_item(context, "structured_input")
        return "asked"

    stage.play_tool(ask)
    thread_id = (await tab.create("Ask me")).thread_id
    (question,) = tab.pictures[thread_id].of_type("structured_input")
    stage.play("Thanks.")
    params = {"thread_id": thread_id, "item_id": question["id"], "input": response}
    assert (await tab.post("threads.add_structured_input", params)).text == "Thanks."
    (answered,) = (await tab.reload(thread_id)).of_type("structured_input")
    assert (answered["status"], [entry["answer"] for entry in answered["inputs"]]) == (status, answers)


@covers("retry.middle")
async def test_a_retry_of_an_earlier_message_removes_everything_after_it(
    stage: Stage, tab: Tab, served: Served
) -> None:
    stage.play("One.", "Two.", "New one.", "New two.")
    first = await tab.create("First")
    await tab.send(first.thread_id, "Second")
    await tab.retry(first.thread_id, first.user_item["id"])
    expected = [("user", "First"), ("assistant", "New one.")]
    assert tab.pictures[first.thread_id].texts() == expected
    assert (await tab.reload(first.thread_id)).texts() == expected
    assert (await tab.send(first.thread_id, "Go on")).text == "New two."
    reloaded = await tab.reload(first.thread_id)
    assert reloaded.texts() == [*expected, ("user", "Go on"), ("assistant", "New two.")]
    rows = await served.rows("SELECT text FROM messages WHERE thread_id = :id", id=first.thread_id)
    assert [row["text"] for row in rows] == ["First", "New one.", "Go on", "New two."]


@covers("retry.failed")
async def test_the_old_answer_is_restored_if_the_new_one_fails_before_any_output(stage: Stage, tab: Tab) -> None:
    stage.play("Good answer.", RuntimeError("no answer"), "Better answer.")
    first = await tab.create("Ask")
    before = (await tab.reload(first.thread_id)).items
    failed = await tab.retry(first.thread_id, first.user_item["id"])
    assert failed.types == [
        "stream_options",
        "thread.item.done",
        "error",
    ]  # the widget already removed the old answer
    assert (await tab.reload(first.thread_id)).items == before
    assert tab.pictures[first.thread_id].items == before
    assert (await tab.retry(first.thread_id, first.user_item["id"])).text == "Better answer."
    assert (await tab.reload(first.thread_id)).texts() == [("user", "Ask"), ("assistant", "Better answer.")]


@covers("retry.failed")
async def test_a_new_answer_that_fails_after_some_output_replaces_the_old_one(stage: Stage, tab: Tab) -> None:
    async def act(context: AgentContext) -> str:
        await context.stream(ThreadItemDoneEvent(item=make_item("task", context.thread, context.generate_id("task"))))
        return "shown"

    stage.play("Good answer.")
    first = await tab.create("Ask")
    stage.play([function_call("act", {}, call_id="call-1")], RuntimeError("broke"), tools=[tool("act", act)])
    failed = await tab.retry(first.thread_id, first.user_item["id"])
    assert failed.types == ["stream_options", "thread.item.done", "error"]
    items = (await tab.reload(first.thread_id)).items
    assert [item["type"] for item in items] == ["user_message", "task"]
    assert text_of(items[0]) == "Ask"
