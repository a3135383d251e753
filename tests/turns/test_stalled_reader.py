"""A reader that stops reading without disconnecting does not block anything (T2)."""

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest

from chatkit_server.turns.turn import Turn
from tests.support.chatkit import Picture
from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import ModelRequest, bench_tokens
from tests.turns.chat import Chat, model_input, thread_of

TOKENS = 30_000  # about 5 MB of frames: far more than the sockets and uvicorn buffer
LONG = Text("", tokens=bench_tokens(TOKENS))
LONG_TEXT = "".join(LONG.tokens)


def long_or_short(request: ModelRequest) -> Answer:
    """Return a long answer for the stalled reader and a short one for everyone else."""
    return Answer(LONG) if model_input(request)[-1] == ("user", "Long") else Answer("short")


async def test_a_stalled_reader_slows_neither_its_turn_nor_other_requests(chat: Chat) -> None:
    chat.upstream.default = long_or_short
    async with await chat.visitor() as tab, await chat.visitor() as other:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        call = await chat.upstream.wait_for_request()
        assert (await other.create("Short")).text == "short"
        await call.wait_closed(within=20)
        assert call.tokens_sent == TOKENS
        assert not call.client_gone

        thread_id = thread_of(stream)
        await chat.ended(thread_id)
        assert await chat.messages(thread_id) == [("user", "Long"), ("assistant", LONG_TEXT)]
        assert await chat.turns(thread_id) == [("completed", None)]

        assert not stream.ended
        stream.close()
        await chat.quiet()
        assert await chat.turns(thread_id) == [("completed", None)]


async def test_a_stalled_reader_that_resumes_gets_the_whole_answer(chat: Chat) -> None:
    chat.upstream.script(Answer(LONG))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        await (await chat.upstream.wait_for_request()).wait_closed(within=20)
        await chat.ended(thread_of(stream))
        await stream.read_to_end()
        stream.close()
    assert stream.ended
    picture = Picture()
    for event in stream.events:
        picture.apply(event)
    assert picture.texts() == [("user", "Long"), ("assistant", LONG_TEXT)]
    numbers = [int(frame.id or 0) for frame in stream.frames]
    assert numbers == sorted(set(numbers))
    await chat.quiet()


async def test_a_stalled_reader_that_leaves_stops_the_model(chat: Chat) -> None:
    chat.upstream.script(Answer(LONG, hang_after=TOKENS - 10))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        call = await chat.upstream.wait_for_request()
        await call.wait_hanging(within=20)
        left_at = time.monotonic()
        stream.close()
        await call.wait_closed()
        assert call.client_gone
        assert time.monotonic() - left_at < 1
        await chat.quiet()
    thread_id = thread_of(stream)
    ((role, words),) = (await chat.messages(thread_id))[1:]
    assert role == "assistant"
    assert LONG_TEXT.startswith(words)
    assert await chat.turns(thread_id) == [("stopped", "disconnected")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_stalled_reader_does_not_read_keeps_neither_its_turn_nor_its_run_in_memory(chat: Chat) -> None:
    """Only the bytes that it will read stay, without waiting for the collection of the garbage."""
    chat.upstream.script(Answer(LONG, hang_after=TOKENS - 10))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        thread_id = thread_of(stream)
        turn = await chat.services.turns.running_on(thread_id, await chat.owner(thread_id))
        assert isinstance(turn, Turn)
        await (await chat.upstream.wait_for_request()).wait_hanging(within=20)
        kept: list[weakref.ref[Any]] = [weakref.ref(turn), weakref.ref(turn._output), weakref.ref(turn.items)]
        gc.collect()
        gc.disable()
        try:
            chat.upstream.release()
            await turn.ended()
            del turn
            async with asyncio.timeout(5):
                while any(each() is not None for each in kept):  # noqa: ASYNC110 - freed when its task is
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
        await stream.read_to_end()
        assert stream.events[-1]["item"]["content"][0]["text"] == LONG_TEXT
        stream.close()
    await chat.quiet()
