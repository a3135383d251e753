"""Detached turns: a client that promises to stop explicitly may leave, and any page may stop its thread's turn."""

import asyncio

import pytest

from tests.serving import Tab
from tests.support.openai_answers import Answer
from tests.support.sse import Json
from tests.turns.chat import Chat, all_tasks
from tests.turns.coming_back import DETACH, asking, attaching, read_up_to

COUNT = Answer("one two three", hang_after=2)
WHOLE = [("user", "Count"), ("assistant", "one two three")]
PARTIAL = [("user", "Count"), ("assistant", "one two")]

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def stop_thread(chat: Chat, tab: Tab, thread_id: str) -> tuple[int, Json]:
    async with tab.session.post(f"{chat.url}/api/threads/{thread_id}/stop") as response:
        return response.status, await response.json()


async def no_request_runs(chat: Chat) -> None:
    """Wait until the server has noticed that its client has left."""
    requests = [task for task in all_tasks() - chat.tasks_before if "run_asgi" in str(task.get_coro())]
    if requests:
        _, pending = await asyncio.wait(requests, timeout=30)
        assert not pending


async def test_a_detached_turn_runs_to_its_end_without_a_reader(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab:
        async with asking(tab, "Count", DETACH) as first:
            await read_up_to(first, "one two")
        await tab.session.close()
        await no_request_runs(chat)
        assert not chat.upstream.requests[0].closed.is_set()
        chat.upstream.release()
        await chat.ended(first.thread_id)
        assert await chat.messages(first.thread_id) == WHOLE
        assert await chat.turns(first.thread_id) == [("completed", None)]
        await chat.quiet()


async def test_without_the_header_a_turn_stops_when_its_client_leaves(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab:
        async with asking(tab, "Count", {"x-chatkit-detach": "0"}) as first:
            await read_up_to(first, "one two")
        await chat.upstream.requests[0].wait_closed()
        await chat.ended(first.thread_id)
        assert await chat.messages(first.thread_id) == PARTIAL
        assert await chat.turns(first.thread_id) == [("stopped", "disconnected")]


@sqlite_only
async def test_a_client_that_comes_back_later_gets_the_answer(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab:
        async with asking(tab, "Count", DETACH) as first:
            await read_up_to(first, "one two")
        async with attaching(tab, first.thread_id, DETACH) as again:
            await again.wait_for("thread.item.added")
            chat.upstream.release()
            await again.read()
        assert again.picture.texts() == WHOLE
        assert again.picture.items == (await tab.reload(first.thread_id)).items


@sqlite_only
async def test_a_turn_survives_a_reader_that_attached_with_the_header(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with attaching(tab, first.thread_id, DETACH) as again:
            await again.wait_for("thread.item.added")
            await first.read()
        chat.upstream.release()
        await chat.ended(first.thread_id)
        assert await chat.turns(first.thread_id) == [("completed", None)]


@sqlite_only
async def test_a_turn_runs_while_one_of_two_readers_stays(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        async with asking(tab, "Count") as first:
            await read_up_to(first, "one two")
            async with attaching(second, first.thread_id) as again:
                await again.wait_for("thread.item.added")
            chat.upstream.release()
            await first.read()
        assert first.picture.texts() == WHOLE


async def test_stop_by_thread_ends_a_detached_turn_and_all_its_readers(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with (
        await chat.visitor() as tab,
        chat.tab(cookies=tab.cookies) as second,
        asking(tab, "Count", DETACH) as first,
    ):
        await read_up_to(first, "one two")
        thread_id, turn_id = first.thread_id, first.headers["x-chatkit-turn-id"]
        async with attaching(second, thread_id) as again:
            await again.wait_for("thread.item.added")
            stopped = {"id": turn_id, "thread_id": thread_id, "status": "stopped", "stop_reason": "user"}
            assert await stop_thread(chat, tab, thread_id) == (200, stopped)
            await chat.upstream.requests[0].wait_closed()
            async with asyncio.timeout(30):
                await asyncio.gather(first.read(), again.read())
        assert again.picture.items == first.picture.items
        assert await chat.messages(thread_id) == PARTIAL
        assert (await chat.items(thread_id))[-1] == "sdk_hidden_context"
        nothing = {"id": None, "thread_id": thread_id, "status": None, "stop_reason": None}
        assert await stop_thread(chat, tab, thread_id) == (200, nothing)
        assert await chat.turns(thread_id) == [("stopped", "user")]


@sqlite_only
async def test_another_user_cannot_stop_a_thread(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, await chat.visitor() as stranger, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        status, body = await stop_thread(chat, stranger, first.thread_id)
        assert (status, body["code"]) == (404, "not_found")
        assert (await stop_thread(chat, tab, "thr_unknown"))[0] == 404
        chat.upstream.release()
        await first.read()
        assert await chat.turns(first.thread_id) == [("completed", None)]
