"""One of two readers of an answer stops reading: the other is not affected, and nothing piles up."""

import asyncio

import pytest

from chatkit_server.turns.turn_log import KEPT_SIZE, TurnLog
from tests.serving import Tab
from tests.support.chatkit import Picture
from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import bench_tokens
from tests.turns.chat import Chat, thread_of
from tests.turns.coming_back import attaching
from tests.turns.conftest import Start

TOKENS = bench_tokens(60_000)  # far more than the sockets and uvicorn hold
WHOLE = "".join(TOKENS)
LONG = Answer(Text("", tokens=TOKENS), hang_after=100)


@pytest.fixture
async def workers(start: Start) -> list[Chat]:
    """Start the worker that runs the turn, and another one."""
    return [await start(), await start()]


@pytest.mark.parametrize("place", [0, 1], ids=["where it runs", "at another worker"])
async def test_a_stalled_reader_does_not_affect_another_reader(workers: list[Chat], place: int) -> None:
    here, there = workers[0], workers[place]
    here.upstream.script(LONG)
    async with await here.visitor() as tab:
        own_stream = await here.ask(tab, "Long")
        await own_stream.read_until(lambda frame: "text_delta" in frame.data)
        thread_id = thread_of(own_stream)
        action = {"thread_id": thread_id, "action": {"type": "turn.attach", "payload": None}}
        stalled_tab, healthy_tab = Tab(there.url, cookies=tab.cookies), Tab(there.url, cookies=tab.cookies)
        stalled = await there.post(stalled_tab, "threads.custom_action", action, receive_buffer=4096)
        await stalled.read_until(lambda frame: "thread.item.added" in frame.data)
        frame_count = len(stalled.frames)

        async with attaching(healthy_tab, thread_id) as healthy:
            await healthy.wait_for("thread.item.added")
            turn = await there.services.turns.running_on(thread_id, await there.owner(thread_id))
            assert turn is not None
            largest = 0
            here.upstream.release()
            async with asyncio.timeout(180):
                async for _ in healthy:
                    largest = max(largest, kept(turn.log))
                await own_stream.read_to_end()
        assert healthy.picture.texts() == [("user", "Long"), ("assistant", WHOLE)]
        assert len(stalled.frames) == frame_count
        assert largest <= KEPT_SIZE
        assert all(b"text_delta" not in event.data for event in turn.log._lasting)

        await stalled.read_to_end()
        assert stalled.ended
        picture = Picture()
        for event in stalled.events:
            picture.apply(event)
        assert picture.items == healthy.picture.items == (await healthy_tab.reload(thread_id)).items
        for stream in (own_stream, stalled):
            stream.close()
        for other in (stalled_tab, healthy_tab):
            await other.session.close()
    await workers[-1].quiet()


def kept(log: TurnLog) -> int:
    """Return the size of the entries that the log holds besides the newest, which may be the end of the whole text."""
    return sum(entry.size for entry in log._entries[:-1])
