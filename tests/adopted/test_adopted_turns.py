"""The turns of an adopted server: they outlive their readers, stop, retry and move between workers like all others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import AssistantMessageItem
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.adopted.servers.greenhouse import GreenhouseServer
from tests.adopted.servers.letter_box import LetterBoxServer
from tests.conftest import also_guarded
from tests.databases import is_guarded
from tests.serving import Served, Tab, serve
from tests.support.chatkit import LiveReply
from tests.support.openai_answers import Answer, Text, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.turns.coming_back import asking, attaching, read_up_to

WORDS = "Write slowly and stop"
HALF, WHOLE = "Letter 1: Write", "Letter 1: Write slowly and stop"


@asynccontextmanager
async def writing(chat: Served, tab: Tab) -> AsyncIterator[LiveReply]:
    """Yield a reply that has half of its text."""
    async with asking(tab, WORDS) as reply:
        await read_up_to(reply, HALF)
        yield reply


async def stop(chat: Served, tab: Tab, reply: LiveReply) -> str:
    turn_id = reply.headers["x-chatkit-turn-id"]
    async with tab.session.post(f"{chat.url}/api/turns/{turn_id}/stop") as response:
        return str((await response.json())["status"])


async def test_a_reload_shows_the_text_so_far_and_attaches(tmp_path: Path) -> None:
    server = LetterBoxServer()
    async with serve(tmp_path, server=server) as chat, chat.tab() as tab:
        async with writing(chat, tab) as first:
            assert (await tab.reload(first.thread_id)).texts()[-1] == ("assistant", HALF)
            async with chat.tab(cookies=tab.cookies) as second, attaching(second, first.thread_id) as again:
                await read_up_to(again, HALF)
                server.may_continue.set()
                await asyncio.gather(first.read(), again.read())
        assert first.text == again.text == WHOLE
        assert (await tab.reload(first.thread_id)).items == first.picture.items == again.picture.items


async def test_a_stop_keeps_what_was_written_and_tells_its_code(tmp_path: Path) -> None:
    server = LetterBoxServer()
    async with serve(tmp_path, server=server) as chat, chat.tab() as tab:
        async with writing(chat, tab) as reply:
            assert await stop(chat, tab, reply) == "stopped"
            await reply.read()
        assert reply.error is None
        assert (await tab.reload(reply.thread_id)).texts() == [("user", WORDS), ("assistant", HALF)]
        (pending,) = server.cancelled
        assert isinstance(pending, AssistantMessageItem)
        assert pending.content[0].text == HALF
        hidden = await chat.rows("SELECT type FROM thread_items WHERE type = 'sdk_hidden_context'")
        assert len(hidden) == 1, "the model reads once that the user has stopped it"
        server.may_continue.set()
        assert (await tab.send(reply.thread_id, "Again")).text == "Letter 2: Again"


async def test_a_stop_ends_a_run_of_its_code_for_all_readers(tmp_path: Path, upstream: OpenAIServer) -> None:
    """chatkit's `stream_agent_response`, which its code reads, leaves the run going."""
    upstream.script(Answer(Text("", tokens=["It ", "needs ", "water."]), hang_after=2), Answer("I am here."))
    model: dict[str, Any] = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses"}
    async with serve(tmp_path, server=GreenhouseServer, **model) as chat, chat.tab() as tab:
        async with asking(tab, "How is it?") as first:
            await read_up_to(first, "It needs ")
            async with chat.tab(cookies=tab.cookies) as second, attaching(second, first.thread_id) as again:
                await read_up_to(again, "It needs ")
                assert await stop(chat, second, first) == "stopped"
                await asyncio.gather(first.read(), again.read())
        await upstream.requests[0].wait_closed()
        assert upstream.requests[0].client_gone
        assert [first.error, again.error] == [None, None]
        assert first.text == again.text == "It needs "
        assert (await tab.reload(first.thread_id)).items == first.picture.items == again.picture.items
        assert (await tab.send(first.thread_id, "Are you there?")).text == "I am here."
    assert "It needs " in str(upstream.requests[1].body["input"])


async def test_a_retry_replaces_the_answer(tmp_path: Path) -> None:
    async with serve(tmp_path, server=LetterBoxServer) as chat, chat.tab() as tab:
        reply = await tab.create("Dear friend")
        retried = await tab.retry(reply.thread_id, reply.user_item["id"])
        assert retried.text == "Letter 1: Dear friend"
        reloaded = await tab.reload(reply.thread_id)
        assert len(reloaded.texts()) == 2
        assert reloaded.items == tab.pictures[reply.thread_id].items


async def test_a_failure_offers_a_retry_also_after_a_reload(tmp_path: Path) -> None:
    async with serve(tmp_path, server=LetterBoxServer) as chat, chat.tab() as tab:
        failed = await tab.create("lose it")
        assert failed.error is not None
        (notice,) = (await tab.reload(failed.thread_id)).notices
        assert "chatkit.retry" in str(notice)


async def test_its_users_do_not_see_each_others_threads(tmp_path: Path) -> None:
    """On chatkit's `process`, its store is one for all."""
    server = LetterBoxServer()
    async with serve(tmp_path, server=server) as chat, chat.tab() as alice, chat.tab() as bob:
        reply = await alice.create("Dear diary")
        assert await bob.history() == []
        assert (await bob.post("threads.get_by_id", {"thread_id": reply.thread_id})).status == 404
        assert (await bob.send(reply.thread_id, "Let me in")).error is not None
        assert [thread["id"] for thread in await alice.history()] == [reply.thread_id]
    assert vars(server.store)["_entries"] == {}, "nothing is left in memory"


async def test_two_users_write_at_the_same_time(tmp_path: Path) -> None:
    server = LetterBoxServer()
    async with serve(tmp_path, server=server) as chat, chat.tab() as alice, chat.tab() as bob:
        await bob.create("Dear diary")
        async with writing(chat, alice) as first, writing(chat, bob) as second:
            server.may_continue.set()
            await asyncio.gather(first.read(), second.read())
        assert first.text == second.text == WHOLE
        assert [thread["id"] for thread in await alice.history()] == [first.thread_id]
        assert len(await bob.history()) == 2


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[tuple[Served, Served, LetterBoxServer]]:
    """Two workers on one database, and the server of the first."""
    first = LetterBoxServer()
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(serve(tmp_path, server=first))
        there = await stack.enter_async_context(serve(tmp_path, server=LetterBoxServer))
        yield here, there, first


async def test_another_worker_shows_and_continues_its_threads(workers: tuple[Served, Served, LetterBoxServer]) -> None:
    here, there, server = workers
    async with here.tab() as tab, Tab(there.url, cookies=tab.cookies) as second:
        async with writing(here, tab) as first, attaching(second, first.thread_id) as again:
            await read_up_to(again, HALF)
            server.may_continue.set()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.items == first.picture.items
        assert (await second.send(first.thread_id, "Go on")).text == "Letter 2: Go on"


async def test_another_worker_stops_its_turn(workers: tuple[Served, Served, LetterBoxServer]) -> None:
    here, there, server = workers
    async with here.tab() as tab, Tab(there.url, cookies=tab.cookies) as second:
        async with writing(here, tab) as reply:
            assert await stop(there, second, reply) == "stopped"
            await reply.read()
        assert (await second.reload(reply.thread_id)).texts()[-1] == ("assistant", HALF)
        assert len(server.cancelled) == 1


async def test_a_switch_of_a_widget_answers_without_a_stream(tmp_path: Path, upstream: OpenAIServer) -> None:
    upstream.script(Answer(tool_calls=[ToolCall("show_card")]))
    model: dict[str, Any] = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses"}
    async with serve(tmp_path, server=GreenhouseServer, **model) as chat, chat.tab() as tab:
        reply = await tab.create("How is it?")
        (widget,) = reply.picture.of_type("widget")
        action = widget["widget"]["children"][2]["onClickAction"]
        params = {"thread_id": reply.thread_id, "item_id": widget["id"]}
        body = {"type": action["type"], "payload": action["payload"]}
        answer = await tab.post("threads.sync_custom_action", params | {"action": body})
        assert answer.status == 200
        assert answer.body["updated_item"]["widget"]["children"][2]["label"] == "Reminder is on"
        (reloaded,) = (await tab.reload(reply.thread_id)).of_type("widget")
        assert reloaded == answer.body["updated_item"]


@also_guarded
async def test_a_conversation_on_each_database(
    engine: AsyncEngine, database_url: str, tmp_path: Path, upstream: OpenAIServer
) -> None:
    upstream.script(
        Answer(tool_calls=[ToolCall("suggest_names", {"names": ["Fern", "Ivy"]})]),
        Answer(tool_calls=[ToolCall("water_plant", {"amount": 2})]),
        Answer("Ivy thanks you."),
        Answer("Ivy is glad."),
    )
    model: dict[str, Any] = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses"}
    where: dict[str, Any] = {"database_url": database_url, "row_security": is_guarded(database_url)}
    async with serve(tmp_path, server=GreenhouseServer, **model, **where) as chat, chat.tab() as tab:
        reply = await tab.create("Which name?")
        (widget,) = reply.picture.of_type("widget")
        action = widget["widget"]["children"][1]["onClickAction"]
        assert (await tab.action(reply.thread_id, action["type"], action["payload"], widget["id"])).error is None
        watered = await tab.send(reply.thread_id, "Water it")
        assert watered.text == "Ivy thanks you."
        assert (await tab.retry(reply.thread_id, watered.user_item["id"])).text == "Ivy is glad."
        reloaded = await tab.reload(reply.thread_id)
        assert reloaded.items == tab.pictures[reply.thread_id].items
        assert reloaded.thread["title"] == "Ivy in the greenhouse"
    assert "<NAME_CHOSEN>Ivy</NAME_CHOSEN>" in str(upstream.requests[1].body)
