"""A server that is asked to stop starts no new turns, and lets running ones finish for a while."""

import asyncio
import signal
from itertools import repeat
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server import create_app
from chatkit_server.turns import shutdown
from tests.serving import make_settings
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.support.sse import RawStream
from tests.turns.chat import Chat, busy_database, thread_of
from tests.turns.coming_back import asking, attaching, read_up_to
from tests.turns.conftest import Start
from tests.turns.test_shutdown import CREATE, process

COUNT = Answer("one two three", hang_after=2)
WHOLE = [("user", "Count"), ("assistant", "one two three")]
PARTIAL = [("user", "Count"), ("assistant", "one two")]


@pytest.mark.parametrize("is_short", [True, False], ids=["short", "long"])
async def test_a_signal_lets_an_answer_finish_within_the_drain_time(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, tmp_path: Path, is_short: bool
) -> None:
    upstream.script(COUNT)
    async with (
        process(tmp_path, database_url, upstream, drain_seconds=120 if is_short else 0.5) as (url, serving),
        await RawStream.post(url, "/chatkit", CREATE) as stream,
    ):
        await stream.read_until(lambda frame: ' two"' in frame.data)
        serving.terminate()
        if is_short:
            await refuses_connections(url)
            serving.terminate()  # once more, by the parent of several workers: the same stop
            upstream.release()
        await stream.read_to_end(within=30)
        assert stream.ended, "the answer was cut off"
        async with asyncio.timeout(30):
            log = (await serving.communicate())[1].decode()
        assert serving.returncode == -signal.SIGTERM
        assert "Traceback" not in log
    chat = Chat(create_app(make_settings(tmp_path, database_url=database_url)), url, upstream, engine)
    thread_id = thread_of(stream)
    assert await chat.messages(thread_id) == (WHOLE if is_short else PARTIAL)
    assert await chat.turns(thread_id) == [("completed", None) if is_short else ("interrupted", "shutdown")]


async def refuses_connections(url: str, within: float = 30) -> None:
    """Wait until the signal has been handled, as seen from outside."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    async with asyncio.timeout(within):
        for pause in repeat(0.02):
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionError:
                return
            writer.close()
            await asyncio.sleep(pause)


async def test_a_draining_server_starts_no_turns_and_continues_running_ones(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with (
        await chat.visitor() as tab,
        chat.tab(cookies=tab.cookies) as second,
        chat.tab(cookies=tab.cookies, frame=False) as other,
        asking(tab, "Count") as first,
    ):
        await read_up_to(first, "one two")
        chat.services.turns.shutdown.drain()
        async with tab.session.get(f"{chat.url}/readyz") as response:
            assert (response.status, (await response.json())["code"]) == (503, "server_stopping")
        for refused in (
            await second.create("Me too"),
            await second.send(first.thread_id, "Go on"),
            await other.create("Me too"),
        ):  # nothing is saved, and the widget posts the same again, over another connection
            assert (refused.status, refused.body["code"]) == (503, "server_stopping")
            assert (refused.headers["retry-after"], refused.headers["connection"]) == ("1", "close")
        assert len(await tab.history()) == 1
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            chat.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert first.picture.texts() == again.picture.texts() == WHOLE
        assert await chat.turns(first.thread_id) == [("completed", None)]


async def test_a_message_that_arrives_with_the_signal_is_answered(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP server accepts connections until it looks at the signal, and a restart of workers must refuse none."""
    monkeypatch.setattr(shutdown, "LAST_REQUEST_SECONDS", 60.0)
    chat.upstream.script(Answer("one two three"), COUNT)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        chat.services.turns.shutdown.begin()
        async with tab.session.get(f"{chat.url}/readyz") as response:
            assert (response.status, (await response.json())["code"]) == (503, "server_stopping")
        assert (await tab.create("Count")).picture.texts() == WHOLE
        async with asking(second, "Count") as reply:
            await read_up_to(reply, "one two")
            chat.services.turns.shutdown.begin()  # Ctrl+C once more
            async with asyncio.timeout(30):
                await reply.read()
        assert await chat.turns(reply.thread_id) == [("interrupted", "shutdown")]
        assert (await tab.create("Me too")).status == 503


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_requests_are_refused_a_moment_after_the_signal(start: Start) -> None:
    chat = await start(drain_seconds=0.05)
    chat.services.turns.shutdown.begin()
    async with chat.tab() as tab, asyncio.timeout(30):
        while (await tab.create("Hello")).status != 503:
            pass


async def test_a_message_being_saved_when_the_drain_begins_is_answered(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three"))
    async with await chat.visitor() as tab:
        async with busy_database(chat) as write:
            stream = await chat.ask(tab, "Count")
            async with asyncio.timeout(30):
                await write.wait()
            chat.services.turns.shutdown.drain()
            await asyncio.sleep(0)  # the drain begins
        await stream.read_to_end(within=30)
        stream.close()
        assert await chat.messages(thread_of(stream)) == WHOLE
        assert await chat.turns(thread_of(stream)) == [("completed", None)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_turn_that_takes_longer_than_the_drain_is_interrupted(start: Start) -> None:
    chat = await start(drain_seconds=0.2)
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        chat.services.turns.shutdown.drain()
        async with asyncio.timeout(30):
            await first.read()
        assert await chat.messages(first.thread_id) == PARTIAL
        assert await chat.turns(first.thread_id) == [("interrupted", "shutdown")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_second_signal_interrupts_at_once(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        chat.services.turns.shutdown.drain()
        chat.services.turns.shutdown.drain()
        async with asyncio.timeout(30):
            await first.read()
        assert await chat.turns(first.thread_id) == [("interrupted", "shutdown")]
