"""A reader that stops reading without disconnecting does not block anything (T2)."""

import time

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
