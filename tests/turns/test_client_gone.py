"""The client disconnects during an answer: the partial answer is kept, and everything stops (T1, T2, T3, T4)."""

import pytest

from tests.support.openai_answers import Answer
from tests.support.openai_server import ModelRequest
from tests.support.sse import RawStream
from tests.turns.chat import LEAVING, Chat, model_input, thread_of

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])
each_way_of_leaving = pytest.mark.parametrize("leave", LEAVING)


async def leave_and_see_the_model_call_closed(stream: RawStream, leave: str, call: ModelRequest) -> None:
    LEAVING[leave](stream)
    await call.wait_closed()  # sooner than a ping or the time limit of a stop
    assert call.client_gone


@both_apis
@each_way_of_leaving
async def test_when_the_client_leaves_the_model_stops_and_the_partial_answer_is_kept(chat: Chat, leave: str) -> None:
    chat.upstream.script(Answer("one two three four", hang_after=2), Answer("five"))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        await leave_and_see_the_model_call_closed(stream, leave, chat.upstream.requests[0])
        await chat.quiet()

        thread_id = thread_of(stream)
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
        assert await chat.items(thread_id) == ["user_message", "assistant_message"]
        assert await chat.turns(thread_id) == [("stopped", "disconnected")]
        assert (await tab.reload(thread_id)).texts() == [("user", "Count"), ("assistant", "one two")]

        await tab.send(thread_id, "Go on")
        assert model_input(chat.upstream.requests[1])[-3:] == [
            ("user", "Count"),
            ("assistant", "one two"),
            ("user", "Go on"),
        ]


@both_apis
@pytest.mark.parametrize("silent", [Answer("never", delay=60), Answer("never", hang_after=0)], ids=["no head", "hangs"])
async def test_a_client_that_left_before_the_first_token_leaves_only_its_message(chat: Chat, silent: Answer) -> None:
    chat.upstream.script(silent)
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        call = await chat.upstream.wait_for_request()
        if silent.hang_after is not None:
            await call.wait_hanging()
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        await leave_and_see_the_model_call_closed(stream, "closed", call)
        await chat.quiet()

        thread_id = thread_of(stream)
        assert await chat.items(thread_id) == ["user_message"]
        assert await chat.turns(thread_id) == [("stopped", "disconnected")]
        assert (await tab.reload(thread_id)).texts() == [("user", "Count")]


async def test_the_departure_of_a_client_that_never_read_a_byte_is_noticed(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        call = await chat.upstream.wait_for_request()
        await leave_and_see_the_model_call_closed(stream, "reset", call)
        await chat.quiet()
        (thread,) = await tab.history()
        assert await chat.turns(thread["id"]) == [("stopped", "disconnected")]
