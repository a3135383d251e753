"""`POST /api/turns/{id}/retry`: recover an answer without the widget."""

import pytest

from tests.plain.plain import NDJSON, Plain, Stream, key, sqlite_only
from tests.support.openai_answers import SERVER_ERROR, Answer
from tests.turns.chat import Chat

COUNT = Answer("one two three four", hang_after=2)
WHOLE = "one two three four"


async def retry(plain: Plain, turn_id: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    async with plain.session.post(f"{plain.chat.url}/api/turns/{turn_id}/retry", headers=headers) as response:
        return response.status, await response.json()


async def stopped_turn(plain: Plain) -> str:
    """Leave a partial answer, and return its turn's id."""
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count") as stream:
        await stream.read_up_to("one two")
        await plain.stop(stream.headers["x-chatkit-turn-id"])
        await stream.read()
    return stream.headers["x-chatkit-turn-id"]


async def test_a_retry_replaces_a_partial_answer(plain: Plain) -> None:
    turn_id = await stopped_turn(plain)
    plain.chat.upstream.script(Answer(WHOLE))
    status, answer = await retry(plain, turn_id)
    assert (status, answer["status"], answer["text"]) == (200, "completed", WHOLE)
    assert answer["turn_id"] != turn_id
    messages = await plain.chat.messages(str(answer["thread_id"]))
    assert messages == [("user", "Count"), ("assistant", WHOLE)]


@sqlite_only
@pytest.mark.parametrize("accept", ["text/event-stream", NDJSON["accept"]])
async def test_a_retry_can_be_streamed(plain: Plain, accept: str) -> None:
    turn_id = await stopped_turn(plain)
    plain.chat.upstream.script(Answer(WHOLE))
    address = f"{plain.chat.url}/api/turns/{turn_id}/retry"
    async with plain.session.post(address, headers={"accept": accept}) as response:
        assert response.content_type == accept
        stream = await Stream(response).read()
    assert (stream.text, stream.done["status"]) == (WHOLE, "completed")


@sqlite_only
async def test_a_failed_retry_can_be_retried(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(fail=SERVER_ERROR), Answer(fail=SERVER_ERROR), Answer(WHOLE))
    _, first = await plain.answer("Count")
    status, second = await retry(plain, first["turn_id"])
    assert (status, second["status"]) == (502, "failed")
    status, third = await retry(plain, str(second["turn_id"]))
    assert (status, third["text"]) == (200, WHOLE)
    assert await plain.user_messages() == [("Count",)]


@sqlite_only
async def test_a_retry_with_a_key_runs_once(plain: Plain) -> None:
    turn_id = await stopped_turn(plain)
    plain.chat.upstream.script(Answer(WHOLE))
    first = await retry(plain, turn_id, key("r1"))
    assert await retry(plain, turn_id, key("r1")) == first
    assert await plain.answer("Count", headers=key("r1")) == first  # the same message with the same key
    _, other = await plain.answer("Hi", headers=key("m1"))
    status, refused = await retry(plain, str(other["turn_id"]), key("m1"))
    assert (status, refused["code"]) == (409, "key_reused")


@sqlite_only
async def test_only_the_last_unfinished_answer_of_a_thread_can_be_retried(plain: Plain, chat: Chat) -> None:
    chat.upstream.script(Answer(fail=SERVER_ERROR), Answer("two"), COUNT)
    _, failed = await plain.answer("one")
    _, complete = await plain.answer("two", failed["thread_id"])
    async with plain.streaming("three", failed["thread_id"]) as stream:
        await stream.read_up_to("one two")
        running_id = stream.headers["x-chatkit-turn-id"]
        for turn_id in (failed["turn_id"], complete["turn_id"], running_id):
            status, body = await retry(plain, turn_id)
            assert (status, body["code"]) == (409, "not_retryable")
        chat.upstream.release()
        assert (await stream.read()).done["status"] == "completed"
    assert (await retry(plain, running_id))[0] == 409


@sqlite_only
async def test_a_stranger_cannot_retry(plain: Plain, chat: Chat) -> None:
    turn_id = await stopped_turn(plain)
    async with await chat.visitor() as tab:
        status, body = await retry(Plain(chat, tab), turn_id)
    assert (status, body["code"]) == (404, "not_found")
