"""Two hundred answers that are stopped, abandoned or reloaded leave nothing in memory."""

import gc
import random
import tracemalloc

import pytest

from tests.serving import Tab
from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import ModelRequest, bench_tokens
from tests.turns.chat import LEAVING, Chat, all_tasks, thread_of
from tests.turns.coming_back import DETACH, asking, attaching, read_up_to

HALF = 100
WARM_UP = 20
"""Cycles before measuring, which fill the caches."""
TOKENS = bench_tokens(400)
GROWTH = 300_000
"""Bytes that the second half may keep more than the first did; one turn's text and frames are more than 10,000."""
MOST = 6
"""Measurements. A leak shows in each half; a busy machine opens another connection in one of them."""


async def stop(chat: Chat, tab: Tab, dice: random.Random) -> ModelRequest:
    """Stop the turn by id."""
    async with asking(tab, "Stop", DETACH) as reply:
        await reply.wait_for("thread.item.added")
        call = chat.upstream.requests[-1]
        assert (await chat.stop(tab, reply.headers["x-chatkit-turn-id"]))[0] == 200
        await call.wait_closed()
        await reply.read()
    return call


async def disconnect(chat: Chat, tab: Tab, dice: random.Random) -> ModelRequest:
    """Disconnect, with FIN or RST."""
    stream = await chat.ask(tab, "Leave")
    await stream.read_until(lambda frame: "thread.item.added" in frame.data)
    call = chat.upstream.requests[-1]
    LEAVING[dice.choice(list(LEAVING))](stream)
    await call.wait_closed()
    await chat.ended(thread_of(stream))
    return call


async def reload(chat: Chat, tab: Tab, dice: random.Random) -> ModelRequest:
    """Reload, re-attach, and stop the turn by its thread."""
    async with asking(tab, "Reload", DETACH) as reply:
        await reply.wait_for("thread.item.added")
    call = chat.upstream.requests[-1]
    await tab.reload(reply.thread_id)
    async with attaching(tab, reply.thread_id, DETACH) as again:
        await read_up_to(again, TOKENS[-1])
        async with tab.session.post(f"{chat.url}/api/threads/{reply.thread_id}/stop") as response:
            assert response.status == 200
        await call.wait_closed()
        await again.read()
    return call


@pytest.mark.no_cover
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_two_hundred_cycles_leak_no_task_connection_or_memory(chat: Chat) -> None:
    dice = random.Random(11)
    chat.upstream.default = Answer(Text("", tokens=TOKENS), hang_after=len(TOKENS))

    async def cycles(tab: Tab, number: int) -> int:
        """Run that many cycles and return how many bytes are in use afterwards."""
        for _ in range(number):
            call = await dice.choice([stop, disconnect, reload])(chat, tab, dice)
            assert call.client_gone
            # Drop what the tests themselves keep.
            chat.upstream.requests.clear()
            tab.pictures.clear()
        await chat.quiet()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with await chat.visitor() as tab:
        before = all_tasks()
        tracemalloc.start()
        try:
            used = [await cycles(tab, number) for number in (WARM_UP, HALF, HALF)]
            while used[-1] - used[-2] >= GROWTH and len(used) < MOST:
                used.append(await cycles(tab, HALF))
        finally:
            tracemalloc.stop()
        assert all_tasks() <= before
    assert chat.upstream.opened == chat.upstream.closed == WARM_UP + (len(used) - 1) * HALF
    assert used[-1] - used[-2] < GROWTH, used
    assert await chat.select("SELECT id FROM turns WHERE status = 'running' OR ended_at IS NULL") == []
    ((count,),) = await chat.select("SELECT count(*) FROM messages WHERE role = 'user'")
    assert count == WARM_UP + 2 * HALF
