"""Plain clients with two workers: the turn is the same at both."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.plain.plain import DETACH, NDJSON, Plain, key
from tests.serving import Tab
from tests.support.openai_answers import Answer
from tests.turns.chat import Chat
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)
WHOLE = "one two three four"


@pytest.fixture
async def other(start: Start, plain: Plain) -> AsyncIterator[Plain]:
    """Yield the same client at another worker on the same database."""
    chat: Chat = await start()
    async with Tab(chat.url, cookies=plain.tab.cookies) as tab:
        yield Plain(chat, tab)


async def test_a_lost_stream_continues_at_the_other_worker(plain: Plain, other: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=DETACH | key("k1")) as first:
        await first.read_up_to("one two")
    async with other.streaming("Count", headers=NDJSON | key("k1")) as second:
        await second.read_up_to("one two")
        plain.chat.upstream.release()
        await second.read()
    assert second.text == WHOLE
    assert {"reset": True} not in second.messages
    assert second.done["turn_id"] == first.headers["x-chatkit-turn-id"]
    assert (await other.answer("Count", headers=key("k1")))[1]["text"] == WHOLE
    assert await plain.user_messages() == [("Count",)]


async def test_concurrent_posts_at_both_workers_are_one_turn(plain: Plain, other: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    clients = [plain, other] * 3
    posts = [asyncio.create_task(client.answer("Count", headers=key("k1"))) for client in clients]
    await (await plain.chat.upstream.wait_for_request()).wait_hanging()
    plain.chat.upstream.release()
    answers = await asyncio.gather(*posts)
    assert {(status, answer["text"]) for status, answer in answers} == {(200, WHOLE)}
    assert len({answer["turn_id"] for _, answer in answers}) == 1
    assert await plain.user_messages() == [("Count",)]


async def test_poll_and_stop_reach_a_turn_of_the_other_worker(plain: Plain, other: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count") as stream:
        await stream.read_up_to("one two")
        turn_id = stream.headers["x-chatkit-turn-id"]
        assert await other.wait_for_text("one two") == turn_id  # the journal lags a little
        async with other.socket() as socket:
            await socket.send("Go on", stream.headers["x-chatkit-thread-id"])
            await stream.read()
            assert stream.done["stop_reason"] == "superseded"
            assert (await socket.started())["thread_id"] == stream.done["thread_id"]
            assert (await socket.messages()).done["status"] == "completed"


async def test_a_socket_stops_its_turn_at_another_worker(plain: Plain, other: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=key("k1")) as stream, other.socket() as socket:
        await stream.read_up_to("one two")
        await socket.send("Count", key="k1")
        await socket.started()
        await socket.messages(up_to="one two")
        await socket.stop()
        assert (await socket.messages()).done["stop_reason"] == "user"
        await stream.read()
    assert stream.done["stop_reason"] == "user"
    assert await plain.chat.messages(stream.done["thread_id"]) == [("user", "Count"), ("assistant", "one two")]


async def test_a_stopping_worker_makes_its_readers_reconnect_elsewhere(plain: Plain, other: Plain) -> None:
    """The turn continues; its readers get the rest from another worker, with the same key."""
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=key("k1")) as first:
        await first.read_up_to("one two")
        async with other.streaming("Count", headers=key("k1")) as second:
            await second.read_up_to("one two")
            waiting = asyncio.create_task(other.answer("Count", headers=key("k1")))
            owner = await plain.chat.owner(first.headers["x-chatkit-thread-id"])
            tail = await other.chat.services.turns.find(first.headers["x-chatkit-turn-id"], owner)
            assert tail is not None
            async with asyncio.timeout(30):
                while tail.readers < 2:  # noqa: ASYNC110 - there is no other sign that the reader has arrived
                    await asyncio.sleep(0.01)
            other.chat.services.turns.shutdown.interrupt()
            status, body = await waiting
            assert (status, body["code"]) == (503, "server_stopping")
            with pytest.raises(aiohttp.ClientPayloadError):
                await second.read()
        assert not second.is_done
        plain.chat.upstream.release()
        await first.read()
    assert (await plain.answer("Count", headers=key("k1")))[1]["text"] == first.text == WHOLE
