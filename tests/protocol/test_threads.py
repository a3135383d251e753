"""Titles and states of threads, and votes."""

import asyncio

import pytest
from chatkit.types import ActiveStatus, ClosedStatus, LockedStatus

from chatkit_server import AgentContext
from tests.protocol.requirements import covers
from tests.serving import Served, Tab
from tests.stage import Stage
from tests.support.chatkit import user_input

pytestmark = pytest.mark.asyncio(loop_scope="module")

TITLES = {
    "Hello": "Hello",
    "  two\n lines  ": "two lines",
    "word " * 30: "word " * 11 + "word…",
    "x" * 90: "x" * 60 + "…",
    "": "@Ada",  # a mention alone
}


@covers("thread.title")
@pytest.mark.parametrize(("text", "title"), TITLES.items())
async def test_the_title_of_a_new_thread_is_the_beginning_of_its_message(
    stage: Stage, tab: Tab, text: str, title: str
) -> None:
    stage.play("Hi.")
    tag = {"type": "input_tag", "id": "t", "text": "Ada", "data": {}}
    content = [{"type": "input_text", "text": text}] if text else [tag]
    reply = await tab.post("threads.create", {"input": user_input("") | {"content": content}})
    assert reply.error is None
    assert [event["thread"].get("title") for event in reply.of_type("thread.created")] == [title]
    assert (await tab.get(reply.thread_id)).get("title") == title


@covers("thread.agent_changes")
async def test_an_agents_changes_to_its_thread_are_sent_and_saved(stage: Stage, tab: Tab, served: Served) -> None:
    async def act(context: AgentContext) -> str:
        context.thread.title = "Named by the agent"
        context.thread.metadata["step"] = 1
        context.thread.status = LockedStatus(reason="Solved")
        return "changed"

    stage.play_tool(act)
    reply = await tab.create("Change it")
    assert [event["thread"]["title"] for event in reply.of_type("thread.updated")] == ["Named by the agent"]
    assert tab.pictures[reply.thread_id].thread["status"] == {"type": "locked", "reason": "Solved"}
    thread = await served.load_thread(reply.thread_id)
    assert (thread.title, thread.metadata, thread.status) == (
        "Named by the agent",
        {"step": 1},
        LockedStatus(reason="Solved"),
    )


@covers("thread.rename_during_turn")
async def test_a_title_set_during_a_turn_is_kept(stage: Stage, tab: Tab, served: Served) -> None:
    renamed = asyncio.Event()

    async def act(context: AgentContext) -> str:
        await renamed.wait()
        context.thread.metadata["step"] = 1  # saved at the end of the turn, from an object with the old title
        return "done"

    stage.play_tool(act)
    async with asyncio.timeout(10), tab.open("threads.create", {"input": user_input("Wait")}) as reply:
        await reply.wait_for("stream_options")
        await tab.post("threads.update", {"thread_id": reply.thread_id, "title": "Mine"})
        renamed.set()
        await reply.read()
    thread = await served.load_thread(reply.thread_id)
    assert (thread.title, thread.metadata) == ("Mine", {"step": 1})


@covers("thread.status_shown")
@pytest.mark.parametrize("status", [LockedStatus(reason="No"), ClosedStatus(reason="Done"), LockedStatus()])
async def test_a_threads_status_shows_with_its_reason_and_it_can_be_reopened(
    stage: Stage, tab: Tab, served: Served, status: LockedStatus | ClosedStatus
) -> None:
    stage.play("Hi.", "Again.")
    thread_id = (await tab.create("Hello")).thread_id
    context, thread = await served.owner(thread_id), await served.load_thread(thread_id)
    thread.status = status
    await served.services.store.save_thread(thread, context)
    expected = status.model_dump(exclude_none=True)
    assert [(await tab.get(thread_id))["status"], (await tab.list())["data"][0]["status"]] == [expected] * 2
    renamed = await tab.post("threads.update", {"thread_id": thread_id, "title": "Still mine"})
    assert (renamed.status, renamed.body["status"]) == (200, expected)
    thread = await served.load_thread(thread_id)
    thread.status = ActiveStatus()
    await served.services.store.save_thread(thread, context)
    assert (await tab.send(thread_id, "Open?")).text == "Again."


@covers("feedback.foreign")
async def test_votes_that_include_a_foreign_item_are_refused_entirely(
    stage: Stage, tab: Tab, stranger: Tab, served: Served
) -> None:
    stage.play("1", "2", "3")
    mine, other, foreign_thread = await tab.create("a"), await tab.create("b"), await stranger.create("c")
    for foreign in (other.user_item["id"], foreign_thread.user_item["id"], "msg_unknown"):
        reply = await tab.feedback(mine.thread_id, [mine.user_item["id"], foreign])
        assert (reply.status, reply.body["code"]) == (404, "not_found")
    assert await served.rows("SELECT * FROM feedback WHERE thread_id = :id", id=mine.thread_id) == []
    assert (await tab.feedback(mine.thread_id, [])).status == 200
