"""Idempotency keys: a client can safely repeat a message, also over another transport."""

import asyncio

from tests.plain.plain import DETACH, NDJSON, Plain, key, sqlite_only
from tests.support.openai_answers import INVALID_API_KEY, SERVER_ERROR, Answer
from tests.turns.chat import Chat

COUNT = Answer("one two three four", hang_after=2)
WHOLE = "one two three four"


async def one_message(plain: Plain, words: str = "Count") -> None:
    assert await plain.user_messages() == [(words,)]
    assert len(plain.chat.upstream.requests) == 1


async def test_six_posts_at_once_are_one_turn(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    posts = [asyncio.create_task(plain.answer("Count", headers=key("k1"))) for _ in range(6)]
    await (await plain.chat.upstream.wait_for_request()).wait_hanging()
    plain.chat.upstream.release()
    answers = await asyncio.gather(*posts)
    assert {status for status, _ in answers} == {200}
    assert len({answer["turn_id"] for _, answer in answers}) == 1
    assert {answer["text"] for _, answer in answers} == {WHOLE}
    await one_message(plain)


async def test_a_lost_stream_is_fetched_completely_by_its_key(plain: Plain) -> None:
    """With `detach`, the answer continues while the client reconnects."""
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=DETACH | key("k1")) as stream:
        await stream.read_up_to("one two")
    asking = asyncio.create_task(plain.answer("Count", headers=key("k1")))
    plain.chat.upstream.release()
    status, answer = await asking
    assert (status, answer["text"]) == (200, WHOLE)
    assert answer["turn_id"] == stream.headers["x-chatkit-turn-id"]
    await one_message(plain)


async def test_a_lost_stream_without_detach_has_its_partial_answer(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=key("k1")) as stream:
        await stream.read_up_to("one two")
    await plain.chat.upstream.requests[0].wait_closed()
    await plain.chat.ended(stream.headers["x-chatkit-thread-id"])
    status, answer = await plain.answer("Count", headers=key("k1"))
    assert (status, answer["status"], answer["stop_reason"]) == (200, "stopped", "disconnected")
    assert answer["text"] == "one two"
    await one_message(plain)


async def test_joining_a_running_answer_yields_all_of_its_text_once(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=key("k1")) as first:
        await first.read_up_to("one two")
        async with plain.streaming("Count", headers=NDJSON | key("k1")) as second:
            await second.read_up_to("one two")
            async with plain.socket() as socket:
                await socket.send("Count", key="k1")
                assert (await socket.started())["turn_id"] == first.headers["x-chatkit-turn-id"]
                await socket.messages(up_to="one two")
                plain.chat.upstream.release()
                assert (await socket.messages()).text == " three four"
            await second.read()
        await first.read()
    assert first.text == second.text == WHOLE
    assert first.done == second.done
    await one_message(plain)


@sqlite_only
async def test_an_ended_answer_is_replayed_over_every_transport(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(WHOLE))
    _, first = await plain.answer("Count", headers=key("k1"))
    assert await plain.answer("Count", headers=key("k1")) == (200, first)
    stream = await plain.stream("Count", headers=key("k1"))
    assert (stream.text, stream.done["turn_id"]) == (WHOLE, first["turn_id"])
    assert stream.headers["x-chatkit-thread-id"] == first["thread_id"]
    async with plain.socket() as socket:
        await socket.send("Count", key="k1")
        assert (await socket.started())["thread_id"] == first["thread_id"]
        assert (await socket.messages()).text == WHOLE
    await one_message(plain)


@sqlite_only
async def test_a_failed_answer_stays_failed_for_its_key(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(fail=INVALID_API_KEY))
    status, first = await plain.answer("Count", headers=key("k1"))
    assert (status, first["code"]) == (502, "model_auth")
    assert await plain.answer("Count", headers=key("k1")) == (502, first)
    assert (await plain.answer("Count", headers=key("k2")))[0] == 200


async def test_a_key_starts_an_interrupted_answer_again(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=key("k1")) as stream:
        await stream.read_up_to("one two")
        plain.chat.services.turns._local._running[stream.headers["x-chatkit-turn-id"]].stop("shutdown")
        await stream.read()
    assert (stream.done["status"], stream.error["code"]) == ("interrupted", "interrupted")
    plain.chat.upstream.script(Answer(WHOLE))
    answers = await asyncio.gather(*(plain.answer("Count", headers=key("k1")) for _ in range(4)))
    assert {(status, answer["status"], answer["text"]) for status, answer in answers} == {(200, "completed", WHOLE)}
    (turn_id,) = {answer["turn_id"] for _, answer in answers}
    assert turn_id != stream.headers["x-chatkit-turn-id"]
    assert await plain.user_messages() == [("Count",)]
    thread_id = stream.headers["x-chatkit-thread-id"]
    assert await plain.chat.messages(thread_id) == [("user", "Count"), ("assistant", WHOLE)]
    assert await plain.answer("Count", headers=key("k1")) == answers[0]
    assert await plain.chat.turns(thread_id) == [("interrupted", "shutdown"), ("completed", None)]


@sqlite_only
async def test_a_key_starts_an_answer_again_as_often_as_it_fails_for_a_while(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(fail=SERVER_ERROR), Answer(fail=SERVER_ERROR), Answer(WHOLE))
    ids = set()
    for expected in (502, 502, 200, 200):
        status, answer = await plain.answer("Count", headers=key("k1"))
        assert status == expected
        ids.add(answer["turn_id"])
    assert len(ids) == 3
    assert await plain.user_messages() == [("Count",)]
    status, body = await plain.answer("Something else", headers=key("k1"))
    assert (status, body["code"]) == (409, "key_reused")


@sqlite_only
async def test_a_failed_answer_is_not_started_again_once_the_conversation_has_continued(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(fail=SERVER_ERROR), Answer("two"))
    _, failed = await plain.answer("one", headers=key("k1"))
    await plain.answer("two", failed["thread_id"])
    assert await plain.answer("one", headers=key("k1")) == (502, failed)
    assert await plain.user_messages() == [("one",), ("two",)]


@sqlite_only
async def test_a_refused_message_does_not_use_up_its_key(plain: Plain) -> None:
    assert (await plain.answer("Count", "thr_unknown", headers=key("k1")))[0] == 404
    assert (await plain.answer("Count", headers=key("k1")))[0] == 200


@sqlite_only
async def test_another_message_with_a_used_key_is_refused(plain: Plain) -> None:
    await plain.answer("Count", headers=key("k1"))
    status, body = await plain.answer("Something else", headers=key("k1"))
    assert (status, body["code"]) == (409, "key_reused")
    await one_message(plain)


@sqlite_only
async def test_keys_are_separate_for_each_user(plain: Plain, chat: Chat) -> None:
    _, mine = await plain.answer("Count", headers=key("k1"))
    async with await chat.visitor() as tab:
        _, other = await Plain(chat, tab).answer("Count", headers=key("k1"))
    assert mine["turn_id"] != other["turn_id"]


@sqlite_only
async def test_a_key_that_is_empty_or_too_long_is_refused(plain: Plain) -> None:
    for bad in ("", "x" * 256):
        status, body = await plain.answer("Count", headers=key(bad))
        assert (status, body["code"]) == (400, "invalid_params")
    assert (await plain.answer("Count", headers=key("x" * 255)))[0] == 200


async def test_repeating_an_answered_message_does_not_stop_the_running_turn(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("Hello."), Answer("Hello."), COUNT)
    thread_id = (await plain.answer("Hi"))[1]["thread_id"]
    _, first = await plain.answer("Hi", thread_id, headers=key("k1"))
    async with plain.streaming("Count", thread_id) as running:
        await running.read_up_to("one two")
        assert await plain.answer("Hi", thread_id, headers=key("k1")) == (200, first)
        plain.chat.upstream.release()
        assert (await running.read()).text == WHOLE
