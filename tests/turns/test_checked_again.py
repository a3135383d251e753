"""A thread may change between the check of a request and the start of its turn: then it is checked again (T16)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from chatkit.agents import ClientToolCall
from chatkit.types import LockedStatus

from chatkit_server import AgentContext
from tests.serving import Tab
from tests.stage import Stage, stream_item
from tests.support.chatkit import Json, Reply
from tests.turns.chat import Chat, busy_database, thread_of
from tests.turns.conftest import Start

frame_or_script = pytest.mark.parametrize("frame", [True, False], ids=["frame", "script"])


@asynccontextmanager
async def client_of(chat: Chat, tab: Tab, frame: bool) -> AsyncIterator[Tab]:
    """The tab itself, or another client of the same user that is not a frame."""
    if frame:
        yield tab
        return
    async with chat.tab(frame=False, cookies=tab.cookies) as script:
        yield script


def assert_refused(reply: Reply, frame: bool, code: str, words: str) -> None:
    assert reply.error is not None
    assert words in reply.error["message"]
    if frame:
        assert (reply.status, reply.types) == (200, ["error"])
        assert not reply.error["allow_retry"]
    else:
        assert (reply.status, reply.error["code"]) == (409, code)


async def waits_for_the_thread(chat: Chat, thread_id: str, within: float = 30.0) -> None:
    """Wait until a request waits for another one's turn to start."""
    lock = chat.services.turns._lock(thread_id, await chat.owner(thread_id))
    async with asyncio.timeout(within):
        while not lock._waiters:  # noqa: ASYNC110 - asyncio has no event for it
            await asyncio.sleep(0.002)


async def both(chat: Chat, thread_id: str, first: Awaitable[Reply], second: Awaitable[Reply]) -> tuple[Reply, Reply]:
    """Send the second request while the first, already checked one is being saved."""
    async with busy_database(chat) as write:
        first_task = asyncio.ensure_future(first)
        async with asyncio.timeout(30):
            await write.wait()
        second_task = asyncio.ensure_future(second)
        await waits_for_the_thread(chat, thread_id)
    return await first_task, await second_task


@frame_or_script
async def test_a_message_for_a_thread_that_was_locked_while_it_waited_is_refused(start: Start, frame: bool) -> None:
    stage, inside = Stage(), asyncio.Event()

    async def act(context: AgentContext) -> str:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            thread = await context.store.load_thread(context.thread.id, context.request_context)
            thread.status = LockedStatus(reason="A moderator locked it.")
            await context.store.save_thread(thread, context.request_context)
        return "never"

    chat = await start(stage.agent)
    stage.play_tool(act)
    async with await chat.visitor() as tab, await chat.ask(tab, "First") as stream:
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        thread_id = thread_of(stream)
        async with asyncio.timeout(30):
            await inside.wait()
        model = stage.play("An answer on a locked thread.")
        async with client_of(chat, tab, frame) as client:
            reply = await client.send(thread_id, "Second")
        assert_refused(reply, frame, "thread_locked", "A moderator locked it.")
        await stream.read_to_end()
        assert stream.ended
        assert await chat.items(thread_id) == ["user_message"]
        assert await chat.messages(thread_id) == [("user", "First")]
        assert await chat.turns(thread_id) == [("stopped", "superseded")]
        assert model.last_call is None
    await chat.quiet()


@frame_or_script
async def test_one_of_two_concurrent_tool_outputs_is_accepted(start: Start, frame: bool) -> None:
    async def ask_the_page(context: AgentContext) -> str:
        context.client_tool_call = ClientToolCall(name="look", arguments={})
        return ""

    stage = Stage()
    chat = await start(stage.agent)
    stage.play_client_tool(ask_the_page, "I see.", "Said twice.")
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look")).thread_id
        async with client_of(chat, tab, frame) as client:
            first, second = (client.tool_output(thread_id, {"seen": what}) for what in ("cat", "dog"))
            taken, refused = await both(chat, thread_id, first, second)
        assert (taken.text, taken.error) == ("I see.", None)
        assert_refused(refused, frame, "conflict", "waiting for an output")
        calls = [item for item in (await tab.items(thread_id))["data"] if item["type"] == "client_tool_call"]
        assert [(call["status"], call["output"]) for call in calls] == [("completed", {"seen": "cat"})]
        assert await chat.turns(thread_id) == [("completed", None)] * 2
    await chat.quiet()


@frame_or_script
async def test_one_of_two_concurrent_answers_to_a_question_is_accepted(start: Start, frame: bool) -> None:
    async def ask(context: AgentContext) -> str:
        await stream_item(context, "structured_input")
        return "asked"

    stage = Stage()
    chat = await start(stage.agent)
    stage.play_tool(ask)
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Ask me")).thread_id
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        stage.play("Thanks.", "Thanked twice.")

        def give(value: str) -> Json:
            answers: dict[str, Any] = {"q1": {"values": [value]}}
            return {"thread_id": thread_id, "item_id": question["id"], "input": {"answers": answers}}

        async with client_of(chat, tab, frame) as client:
            first, second = (client.post("threads.add_structured_input", give(value)) for value in ("a", "b"))
            taken, refused = await both(chat, thread_id, first, second)
        assert (taken.text, taken.error) == ("Thanks.", None)
        assert_refused(refused, frame, "already_answered", "already answered")
        (answered,) = (await tab.reload(thread_id)).of_type("structured_input")
        assert [entry["answer"]["values"] for entry in answered["inputs"]] == [["a"], []]
        assert await chat.turns(thread_id) == [("completed", None)] * 2
    await chat.quiet()
