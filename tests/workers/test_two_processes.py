"""Two worker processes on one PostgreSQL: each can show, stop, and after a kill recover the turns of the other."""

import asyncio
import random
import time
from contextlib import AsyncExitStack

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.conftest import GUARDED
from tests.support.chatkit import user_input
from tests.support.openai_answers import Answer, Reasoning, Text
from tests.support.openai_server import OpenAIServer, bench_tokens
from tests.turns.coming_back import DETACH, asking, attaching, read_up_to
from tests.workers.conftest import Fork
from tests.workers.processes import Worker
from tests.workers.readers import Wanderer
from tests.workers.sql import execute, select

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

HEARTBEAT = 1.0
RECOVERY_SECONDS = 20.0
READERS = 8
TOKENS = bench_tokens(200)
WHOLE = "".join(TOKENS)
PACED = Answer(Text("", tokens=TOKENS), Reasoning(summary=["Let me think."]), rate=30)
"""Slow enough that readers come back several times on a busy machine, too."""
COUNT = Answer("one two three four", hang_after=2)
PARTIAL = [("user", "Count"), ("assistant", "one two")]


@pytest.fixture
async def here(forked: Fork) -> Worker:
    """The worker that runs the turn."""
    return await forked(heartbeat_seconds=HEARTBEAT, api="responses")


@pytest.fixture
async def there(forked: Fork, here: Worker) -> Worker:
    """The other worker."""
    return await forked(heartbeat_seconds=HEARTBEAT, api="responses")


@on_postgresql
async def test_a_stop_at_the_other_process_ends_the_model_call_and_all_readers(
    here: Worker, there: Worker, upstream: OpenAIServer, engine: AsyncEngine
) -> None:
    upstream.script(COUNT)
    async with here.tab() as tab, asking(tab, "Count", DETACH) as first, there.tab(tab) as second:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id, DETACH) as again:
            await read_up_to(again, "one two")
            async with second.session.post(f"{there.url}/api/threads/{first.thread_id}/stop") as stopped:
                assert (await stopped.json())["stop_reason"] == "user"
            await upstream.requests[0].wait_closed()
            await asyncio.gather(first.read(), again.read())
        assert first.picture.texts() == again.picture.texts() == PARTIAL
        assert await select(engine, "SELECT status, stop_reason FROM turns") == [("stopped", "user")]


@pytest.mark.parametrize(
    ("database_url", "is_seen"),
    [("postgresql", True), ("postgresql", False), (GUARDED, True)],
    ids=["same machine", "another machine", "row-level security"],
    indirect=["database_url"],
)
async def test_the_other_worker_recovers_the_answers_of_a_killed_one(
    is_seen: bool, here: Worker, there: Worker, upstream: OpenAIServer, engine: AsyncEngine
) -> None:
    """On the same machine the dead process is detected; on another one only its silence is."""
    upstream.script(COUNT, Answer("five"))
    async with here.tab() as tab, asking(tab, "Count") as first, there.tab(tab) as second:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            if not is_seen:
                await execute(engine, "UPDATE workers SET host = 'another machine'")
            here.kill()
            killed_at = time.monotonic()
            await again.read()
            assert time.monotonic() - killed_at < RECOVERY_SECONDS
        assert again.picture.texts() == PARTIAL
        assert again.error is not None
        assert again.error["allow_retry"]
        assert await select(engine, "SELECT status, stop_reason FROM turns") == [("interrupted", "crash")]
        assert len(await select(engine, "SELECT id FROM workers")) == 1
        assert (await second.reload(first.thread_id)).items == again.picture.items
        reply = await second.retry(first.thread_id, again.picture.items[0]["id"])
        assert (reply.text, reply.error) == ("five", None)


@on_postgresql
async def test_a_worker_that_was_declared_dead_gives_up_its_answer(
    here: Worker, there: Worker, upstream: OpenAIServer, engine: AsyncEngine
) -> None:
    """The worker was only paused (SIGSTOP): what it outputs afterwards is discarded."""
    upstream.script(COUNT, Answer("five"))
    async with here.tab() as tab, asking(tab, "Count") as first, there.tab(tab) as second:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            here.pause()
            async with asyncio.timeout(RECOVERY_SECONDS):
                await again.read()
        upstream.release()
        reply = await second.send(first.thread_id, "Go on")
        assert (reply.text, reply.error) == ("five", None)
        here.go_on()
        with pytest.raises(aiohttp.ClientPayloadError):  # the connection is cut, so that the reader attaches again
            await first.read()
        messages = await select(engine, "SELECT role, text FROM messages ORDER BY position")
        assert messages == [*PARTIAL, ("user", "Go on"), ("assistant", "five")]
        turns = "SELECT status, stop_reason FROM turns ORDER BY started_at"
        assert await select(engine, turns) == [("interrupted", "crash"), ("completed", None)]
        here.terminate()
        await here.gone()


@on_postgresql
async def test_readers_that_reconnect_to_any_worker_see_the_saved_text(
    here: Worker, there: Worker, upstream: OpenAIServer, engine: AsyncEngine
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - for whoever has to find out why
    upstream.script(PACED)
    async with here.tab() as tab, asking(tab, "Count", DETACH) as first:
        await first.wait_for("thread.item.done")
        turn_id = first.headers["x-chatkit-turn-id"]
        tabs = [there.tab(tab) for _ in range(READERS)]
        readers = [
            Wanderer(random.Random(seed + n), reader, first.thread_id, turn_id, WHOLE) for n, reader in enumerate(tabs)
        ]
        await asyncio.gather(first.read(), *(reader.read([here, there]) for reader in readers))
        loaded = await tab.reload(first.thread_id)
        for reader in readers:
            await reader.close()
    ((saved,),) = await select(engine, "SELECT text FROM messages WHERE role = 'assistant'")
    assert saved == WHOLE
    assert [reader.text for reader in readers] == [saved] * READERS
    for picture in (first.picture, *(reader.picture for reader in readers)):
        assert [item for item in picture.items if item["type"] != "user_message"] == loaded.items[1:]
    assert sum(reader.visits for reader in readers) > 2 * READERS


@on_postgresql
async def test_workers_that_lose_their_listening_connections_poll_until_they_are_back(
    here: Worker, there: Worker, upstream: OpenAIServer, engine: AsyncEngine
) -> None:
    upstream.script(COUNT, COUNT)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    listening = " AND application_name = 'chatkit-server listener'"
    async with here.tab() as tab, there.tab(tab) as second:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(asking(tab, "Count", DETACH))
            await read_up_to(first, "one two")
            again = await stack.enter_async_context(attaching(second, first.thread_id, DETACH))
            await read_up_to(again, "one two")
            async with asyncio.timeout(RECOVERY_SECONDS):
                while len(await select(engine, ended + listening)) < 2:  # noqa: ASYNC110 - of other processes
                    await asyncio.sleep(0.05)
            upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.texts() == [("user", "Count"), ("assistant", "one two three four")]
        reply = tab.open(
            "threads.add_user_message", {"thread_id": first.thread_id, "input": user_input("More")}, DETACH
        )
        async with reply as more:
            await read_up_to(more, "one two")
            async with second.session.post(f"{there.url}/api/threads/{first.thread_id}/stop") as stopped:
                assert (await stopped.json())["stop_reason"] == "user"
            await more.read()
    async with asyncio.timeout(RECOVERY_SECONDS):
        counting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        while len(await select(engine, counting + listening)) < 2:  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.05)
