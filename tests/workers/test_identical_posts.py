"""The widget posts the same bytes up to six times if it gets no good response: one post starts a turn, the others
read it."""

import asyncio
import itertools

import pytest

from tests.files.uploading import UploadClient
from tests.serving import Tab
from tests.support.chatkit import user_input
from tests.support.openai_answers import Answer
from tests.support.sse import Json, RawStream
from tests.turns.chat import Chat
from tests.turns.conftest import Start

POSTS = 6
COUNT = Answer("one two three four", hang_after=2)
WHOLE = "one two three four"


@pytest.fixture
async def workers(start: Start, count: int) -> list[Chat]:
    """Start one worker or two."""
    return [await start() for _ in range(count)]


async def post_all(workers: list[Chat], tab: Tab, op: str, params: Json, *, at_once: bool) -> list[RawStream]:
    """Send the posts to alternating workers; read each until its turn is known."""
    places = list(itertools.islice(itertools.cycle(workers), POSTS))
    streams = []
    for place in places:
        streams.append(await place.post(tab, op, params))
        if not at_once:
            await begun(streams[-1])
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
    async with UploadClient.of(chat) as client, asyncio.timeout(20):
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
    await asyncio.gather(*(stream.read_to_end() for stream in streams))
    for stream in streams:
        stream.close()

    assert [(stream.status, stream.ended) for stream in streams] == [(200, True)] * POSTS
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
