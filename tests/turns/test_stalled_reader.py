"""A reader that stops reading without disconnecting does not block anything (T2)."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from chatkit_server.files.signed_links import REFERENCE_MARK
from chatkit_server.routes.event_stream import PIECE_BYTES, _pieces
from chatkit_server.turns import turn_log
from chatkit_server.turns.log_entries import STORED_SIZE
from chatkit_server.turns.turn import Turn
from chatkit_server.turns.turn_log import TurnLog
from chatkit_store import StoreUnavailable
from tests.serving import Tab
from tests.support.chatkit import Picture
from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import ModelRequest
from tests.support.sse import RawStream
from tests.turns.chat import Chat, model_input, thread_of

TOKENS = 10_000
LONG = Text("", tokens=[f"{number}: {'which are ' * 50}" for number in range(TOKENS)])
"""About 5 MB: more than the sockets and uvicorn buffer."""
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


def assert_whole(stream: RawStream) -> None:
    """Check that the reader got all of the long answer, in order."""
    assert stream.ended
    picture = Picture()
    for event in stream.events:
        picture.apply(event)
    assert picture.texts() == [("user", "Long"), ("assistant", LONG_TEXT)]
    numbers = [int(frame.id or 0) for frame in stream.frames]
    assert numbers == sorted(set(numbers))


async def test_a_stalled_reader_that_resumes_gets_the_whole_answer(chat: Chat) -> None:
    chat.upstream.script(Answer(LONG))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        await (await chat.upstream.wait_for_request()).wait_closed(within=20)
        await chat.ended(thread_of(stream))
        await stream.read_to_end()
        stream.close()
    assert_whole(stream)
    await chat.quiet()


async def test_a_stalled_reader_that_leaves_stops_the_model(chat: Chat) -> None:
    chat.upstream.script(Answer(LONG, hang_after=TOKENS - 10))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        call = await chat.upstream.wait_for_request()
        await call.wait_hanging(within=20)
        stream.close()
        await call.wait_closed()
        assert call.client_gone
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
            async with asyncio.timeout(30):
                while any(each() is not None for each in kept):  # noqa: ASYNC110 - freed when its task is
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
        await stream.read_to_end()
        assert stream.events[-1]["item"]["content"][0]["text"] == LONG_TEXT
        stream.close()
    await chat.quiet()


async def stall(chat: Chat, tab: Tab) -> tuple[RawStream, TurnLog]:
    """Return a reader that has stopped reading, and the log of its turn, which has ended a while ago."""
    chat.upstream.script(Answer(LONG, hang_after=TOKENS - 10))
    stream = await chat.ask(tab, "Long", receive_buffer=4096)
    await stream.read_until(lambda frame: "stream_options" in frame.data)
    thread_id = thread_of(stream)
    turn = await chat.services.turns.running_on(thread_id, await chat.owner(thread_id))
    assert turn is not None
    await (await chat.upstream.wait_for_request()).wait_hanging(within=20)
    chat.upstream.release()
    await turn.ended()
    assert turn.log.has_readers()
    async with asyncio.timeout(30):
        while not turn.log.is_shortened:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    return stream, turn.log


@pytest.fixture
def soon_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_log, "LATE_SECONDS", 0.05)


@pytest.mark.usefixtures("soon_late")
async def test_a_late_reader_keeps_no_long_item_in_memory_and_still_gets_it(chat: Chat) -> None:
    async with await chat.visitor() as tab:
        stream, log = await stall(chat, tab)
        assert sum(len(event.data) for event in log._lasting) < STORED_SIZE
        assert log._entries == []
        await stream.read_to_end()
        stream.close()
    assert_whole(stream)
    await chat.quiet()


@pytest.mark.usefixtures("soon_late")
async def test_a_late_reader_gets_no_item_of_a_thread_that_was_deleted(chat: Chat) -> None:
    async with await chat.visitor() as tab:
        stream, _ = await stall(chat, tab)
        await tab.post("threads.delete", {"thread_id": thread_of(stream)})
        await stream.read_to_end()
        stream.close()
    assert stream.ended
    assert [event for event in stream.events if event["type"] == "thread.item.done"][1:] == []
    await chat.quiet()


@pytest.mark.usefixtures("soon_late")
async def test_a_late_reader_is_cut_while_the_database_fails(chat: Chat) -> None:
    """It attaches again, and then gets what is stored."""

    async def fail(item_id: str) -> bytes:
        raise StoreUnavailable

    async with await chat.visitor() as tab:
        stream, log = await stall(chat, tab)
        log._load_done = fail
        await stream.read_to_end()
        stream.close()
    assert not stream.ended
    await chat.quiet()


async def test_a_reader_that_keeps_up_loads_nothing(chat: Chat) -> None:
    chat.upstream.script(Answer(LONG))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long")
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        thread_id = thread_of(stream)
        turn = await chat.services.turns.running_on(thread_id, await chat.owner(thread_id))
        assert turn is not None
        await stream.read_to_end()
        stream.close()
        await chat.quiet()
    assert (turn.log.closed, turn.log.is_shortened) == (True, False)
    assert stream.events[-1]["item"]["content"][0]["text"] == LONG_TEXT


@pytest.mark.parametrize("size", [1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_frames_are_sent_in_pieces_of_which_the_client_leaves_one_unread(size: int) -> None:
    pieces = list(_pieces(b"x" * size))
    assert b"".join(pieces) == b"x" * size
    assert max(map(len, pieces)) <= PIECE_BYTES


def test_frames_with_references_are_sent_as_a_whole() -> None:
    frames = REFERENCE_MARK + b"x" * PIECE_BYTES
    assert list(_pieces(frames)) == [frames]
