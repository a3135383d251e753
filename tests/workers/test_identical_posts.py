"""The widget posts the same bytes up to six times if it gets no good response: one post starts a turn, the others
read it. Once a client has got the answer, the same bytes are a new request."""

import asyncio
import itertools

import pytest

from tests.files.uploading import UploadClient
from tests.serving import Tab
from tests.support.chatkit import user_input
from tests.support.openai_answers import Answer
from tests.support.sse import Json, RawStream
from tests.turns.chat import Chat, all_tasks, busy_database, thread_of
from tests.turns.coming_back import DETACH
from tests.turns.conftest import Start

POSTS = 6
COUNT = Answer("one two three four", hang_after=2)
WHOLE = "one two three four"


@pytest.fixture
async def workers(start: Start, count: int) -> list[Chat]:
    """Start one worker or two."""
    return [await start() for _ in range(count)]


async def post_all(workers: list[Chat], tab: Tab, op: str, params: Json, *, at_once: bool) -> list[RawStream]:
    """Send the posts to alternating workers, and read each until its turn is known.

    Without `at_once`, each response but the last is cut after its first event, as a proxy does that answers 502.
    """
    places = list(itertools.islice(itertools.cycle(workers), POSTS))
    if at_once:
        async with busy_database(workers[0]):  # until all have arrived
            streams = [await place.post(tab, op, params, headers=DETACH) for place in places]
            while sum("run_asgi" in str(task.get_coro()) for task in all_tasks()) < POSTS:  # noqa: ASYNC110 - uvicorn's
                await asyncio.sleep(0.01)
    else:
        streams = []
        for place in places:
            for cut in streams[-1:]:
                await begun(cut)
                cut.close()
            streams.append(await place.post(tab, op, params, headers=DETACH))
    await asyncio.gather(*(begun(stream) for stream in streams))
    return streams


async def begun(stream: RawStream) -> None:
    """Read up to the first event or the end: a frame's next reader replaces this one."""
    while not stream.frames and await stream.read():
        pass


@pytest.mark.parametrize("count", [1, 2], ids=["one worker", "two workers"])
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in a row"])
@pytest.mark.parametrize("op", ["threads.create", "threads.add_user_message"])
async def test_six_identical_posts_start_one_turn(workers: list[Chat], op: str, at_once: bool) -> None:
    chat = workers[-1]  # its task list includes those of the others
    async with UploadClient.of(chat) as client, asyncio.timeout(60):
        hello = (await client.tab.create("Hello")).thread_id
        for files in ([], [(await client.upload(b"some text")).id]):
            params: Json = {"input": user_input("Count", attachments=files)}
            if op == "threads.add_user_message":
                params["thread_id"] = hello
            await check(workers, client.tab, op, params, at_once=at_once)
    await chat.quiet()


async def check(workers: list[Chat], tab: Tab, op: str, params: Json, *, at_once: bool) -> None:
    chat = workers[-1]
    calls, turns = len(chat.upstream.requests), len(await chat.select("SELECT id FROM turns"))
    chat.upstream.script(COUNT)
    streams = await post_all(workers, tab, op, params, at_once=at_once)
    await (await chat.upstream.wait_for_request(calls + 1)).wait_hanging()
    chat.upstream.release()
    complete = streams if at_once else streams[-1:]
    await asyncio.gather(*(stream.read_to_end() for stream in complete))
    for stream in complete:
        stream.close()

    assert [stream.status for stream in streams] == [200] * POSTS
    assert all(stream.ended for stream in complete)
    assert [event for stream in streams for event in stream.events if event["type"] == "error"] == []
    (turn_id,) = {stream.headers["x-chatkit-turn-id"] for stream in streams}
    assert any(WHOLE in str(stream.events) for stream in streams)
    assert len(chat.upstream.requests) == calls + 1
    assert len(await chat.select("SELECT id FROM turns")) == turns + 1
    ((thread_id, status),) = await chat.select("SELECT thread_id, status FROM turns WHERE id = :id", id=turn_id)
    assert status == "completed"
    assert (await chat.messages(thread_id))[-2:] == [("user", "Count"), ("assistant", WHOLE)]
    threads = "SELECT count(*) FROM turns GROUP BY thread_id"
    assert sorted(await chat.select(threads)) == ([(1,)] * (turns + 1) if op == "threads.create" else [(turns + 1,)])


@pytest.mark.parametrize("count", [1, 2], ids=["one worker", "two workers"])
@pytest.mark.parametrize("stays", [True, False], ids=["read now", "was read"])
async def test_the_same_words_in_a_new_chat_are_a_new_thread(workers: list[Chat], stays: bool) -> None:
    here, there = workers[0], workers[-1]
    here.upstream.script(COUNT, COUNT)
    async with await here.visitor() as tab, asyncio.timeout(60):
        first = await here.ask(tab, "Count", headers=DETACH)
        await first.read_until(lambda frame: ' two"' in frame.data)
        while await here.select("SELECT readers FROM turns") == [(0,)]:  # noqa: ASYNC110 - it is another task's write
            await asyncio.sleep(0.02)
        if not stays:
            first.close()
            (turn,) = here.services.turns._local._running.values()
            while turn._reading:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.02)
        second = await there.ask(tab, "Count", headers=DETACH)
        await second.read_until(lambda frame: ' two"' in frame.data)
        here.upstream.release()
        await asyncio.gather(second.read_to_end(), *([first.read_to_end()] if stays else []))
        await here.ended(thread_of(first))
        assert thread_of(first) != thread_of(second)
        for stream in (first, second):
            assert await here.messages(thread_of(stream)) == [("user", "Count"), ("assistant", WHOLE)]
            stream.close()
    await workers[-1].quiet()


async def test_a_client_that_got_its_first_frame_means_a_new_chat(start: Start) -> None:
    chat = await start()
    chat.upstream.script(COUNT, COUNT)
    async with await chat.visitor() as tab, asyncio.timeout(60):
        streams = [await chat.ask(tab, "Count"), await chat.ask(tab, "Other words")]
        for stream in streams:
            await begun(stream)
        streams.append(await chat.ask(tab, "Count"))
        await begun(streams[-1])
        assert len({thread_of(stream) for stream in streams}) == 3
        for stream in streams:
            stream.close()
    await chat.quiet()


@pytest.mark.parametrize("count", [1, 2], ids=["one worker", "two workers"])
async def test_the_same_words_in_the_same_thread_are_a_new_message(workers: list[Chat]) -> None:
    here, there = workers[0], workers[-1]
    here.upstream.script(Answer("Hi."), COUNT, Answer("Again."))
    async with await here.visitor() as tab, asyncio.timeout(60):
        params: Json = {"thread_id": (await tab.create("Hello")).thread_id, "input": user_input("Count")}
        first = await here.post(tab, "threads.add_user_message", params, headers=DETACH)
        await first.read_until(lambda frame: ' two"' in frame.data)
        while (await here.select("SELECT max(readers) FROM turns WHERE status = 'running'")) == [(0,)]:  # noqa: ASYNC110 - it is another task's write
            await asyncio.sleep(0.02)
        second = await there.post(tab, "threads.add_user_message", params, headers=DETACH)
        await asyncio.gather(first.read_to_end(), second.read_to_end())
        first.close()
        second.close()
        assert "Again." in str(second.events)
        assert first.headers["x-chatkit-turn-id"] != second.headers["x-chatkit-turn-id"]
        messages = await here.messages(params["thread_id"])
        assert [text for role, text in messages if role == "user"] == ["Hello", "Count", "Count"]
        assert messages[-1] == ("assistant", "Again.")
