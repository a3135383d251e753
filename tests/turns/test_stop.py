"""`POST /api/turns/{id}/stop` ends the answer, keeps the partial text and informs the model (T4)."""

import asyncio

import pytest

from chatkit_server.turns.turn import STOP_NOTE
from tests.support.openai_answers import Answer
from tests.support.sse import RawStream
from tests.turns.chat import Chat, model_input, thread_of

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])


async def stream_two_words(chat: Chat, stream: RawStream) -> str:
    """Read up to the second word; return the turn's id."""
    await stream.read_until(lambda frame: ' two"' in frame.data)
    return stream.headers["x-chatkit-turn-id"]


@both_apis
async def test_stop_keeps_the_partial_answer(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three four", hang_after=2), Answer("five"))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        turn_id = await stream_two_words(chat, stream)
        status, body = await chat.stop(tab, turn_id)
        thread_id = thread_of(stream)
        assert (status, body) == (
            200,
            {"id": turn_id, "thread_id": thread_id, "status": "stopped", "stop_reason": "user"},
        )
        await chat.upstream.requests[0].wait_closed()
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
        assert await chat.items(thread_id) == ["user_message", "assistant_message", "sdk_hidden_context"]
        assert await chat.turns(thread_id) == [("stopped", "user")]

        await stream.read_to_end()
        assert stream.ended
        last = stream.events[-1]
        assert last["type"] == "thread.item.done"
        assert [part["text"] for part in last["item"]["content"]] == ["one two"]
        assert STOP_NOTE.encode() not in stream.body
        assert "sdk_hidden_context" not in str(await tab.get(thread_id))

        await tab.send(thread_id, "Go on")
        conversation = model_input(chat.upstream.requests[1])
        assert [role for role, _ in conversation] == ["user", "assistant", "user"]
        assert conversation[1] == ("assistant", "one two")
        assert STOP_NOTE in conversation[2][1]
        assert conversation[2][1].endswith("Go on")
        await tab.session.close()
        await chat.quiet()


async def test_stop_before_the_first_token_leaves_no_empty_answer(chat: Chat) -> None:
    chat.upstream.script(Answer("never", hang_after=0))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: "thread.item.added" in frame.data)
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await stream.read_to_end()
        thread_id = thread_of(stream)
        assert await chat.items(thread_id) == ["user_message", "sdk_hidden_context"]
        (item_id,) = [event["item"]["id"] for event in stream.events if event["type"] == "thread.item.added"]
        assert stream.events[-1] == {"type": "thread.item.removed", "item_id": item_id}
        assert (await tab.reload(thread_id)).texts() == [("user", "Count")]


async def test_stop_is_idempotent(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        turn_id = await stream_two_words(chat, stream)
        answers = await asyncio.gather(*(chat.stop(tab, turn_id) for _ in range(5)))
        answers.append(await chat.stop(tab, turn_id))
        assert {(status, body["status"], body["stop_reason"]) for status, body in answers} == {(200, "stopped", "user")}
        assert (await chat.items(thread_of(stream))).count("sdk_hidden_context") == 1


async def test_stop_of_a_completed_turn_returns_completed(chat: Chat) -> None:
    async with await chat.visitor() as tab:
        reply = await tab.create("Hello")
        status, body = await chat.stop(tab, reply.headers["x-chatkit-turn-id"])
        assert (status, body["status"], body["stop_reason"]) == (200, "completed", None)
        assert await chat.items(reply.thread_id) == ["user_message", "assistant_message"]


async def test_another_user_can_neither_stop_a_turn_nor_detect_it(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, await chat.visitor() as stranger, await chat.ask(tab, "Count") as stream:
        turn_id = await stream_two_words(chat, stream)
        status, body = await chat.stop(stranger, turn_id)
        unknown_status, unknown = await chat.stop(stranger, "turn_unknown")
        assert status == unknown_status == 404
        assert (body["code"], body["message"]) == (unknown["code"], unknown["message"])
        assert await chat.turns(thread_of(stream)) == [("running", None)]
        chat.upstream.release()
        await stream.read_to_end()
        assert await chat.turns(thread_of(stream)) == [("completed", None)]


async def test_a_stop_whose_client_leaves_still_counts_as_a_stop(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        turn_id = await stream_two_words(chat, stream)
        stopping = asyncio.create_task(chat.stop(tab, turn_id))
        await chat.upstream.requests[0].wait_closed()
        stream.close()
        assert (await stopping)[1]["stop_reason"] == "user"
        assert await chat.turns(thread_of(stream)) == [("stopped", "user")]
