"""`POST /api/message`: wait for the whole answer."""

import asyncio
from typing import Any

import pytest

from tests.plain.plain import DETACH, Plain, both_apis, sqlite_only
from tests.support.openai_answers import INVALID_API_KEY, RATE_LIMIT, Answer
from tests.turns.chat import Chat
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)


@both_apis
async def test_the_answer_equals_the_saved_one(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("one two three"))
    status, answer = await plain.answer("Count")
    assert (status, answer["status"], answer["text"], answer["error"]) == (200, "completed", "one two three", None)
    thread_id = answer["thread_id"]
    assert await plain.chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two three")]
    assert answer["user_item_id"] in str(await plain.tab.get(thread_id))
    assert (await plain.answer("And?", thread_id))[1]["thread_id"] == thread_id


@sqlite_only
@both_apis
async def test_a_failure_has_the_partial_answer_and_the_error(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("one two three", error_after=2, error=RATE_LIMIT))
    status, answer = await plain.answer("Count")
    assert (status, answer["status"], answer["text"]) == (502, "failed", "one two")
    assert answer["error"]["code"] == answer["code"] == "model_rate_limit"
    assert answer["error"]["message"] == answer["message"]
    assert answer["error"]["allow_retry"] is True
    assert await plain.chat.messages(answer["thread_id"]) == [("user", "Count"), ("assistant", "one two")]


@sqlite_only
@both_apis
@pytest.mark.parametrize(
    ("cut", "reason"), [("max_output_tokens", "length_limit"), ("content_filter", "content_filter")]
)
async def test_a_cut_answer_says_so(plain: Plain, cut: Any, reason: str) -> None:
    plain.chat.upstream.script(Answer("one two three", incomplete=cut))
    status, answer = await plain.answer("Count")
    assert (status, answer["status"], answer["stop_reason"]) == (200, "completed", reason)
    assert answer["text"] == "one two three"


@sqlite_only
async def test_a_failure_before_any_text_keeps_the_message(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(fail=INVALID_API_KEY))
    status, answer = await plain.answer("Count")
    assert (status, answer["code"], answer["text"]) == (502, "model_auth", "")
    assert await plain.chat.messages(answer["thread_id"]) == [("user", "Count")]


@sqlite_only
async def test_a_stopped_answer_is_the_partial_one(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    asking = asyncio.create_task(plain.answer("Count"))
    await plain.stop(await plain.wait_for_text("one two"))
    status, answer = await asking
    assert (status, answer["status"], answer["stop_reason"], answer["text"]) == (200, "stopped", "user", "one two")


@sqlite_only
async def test_a_server_that_stops_during_an_answer_returns_503_with_the_text_so_far(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    asking = asyncio.create_task(plain.answer("Count"))
    await plain.wait_for_text("one two")
    plain.chat.services.turns.shutdown.interrupt()
    status, answer = await asking
    assert (status, answer["code"], answer["status"]) == (503, "interrupted", "interrupted")
    assert (answer["text"], answer["stop_reason"]) == ("one two", "shutdown")


@sqlite_only
@pytest.mark.parametrize(
    ("headers", "end"), [({}, ("stopped", "disconnected")), (DETACH, ("completed", None))], ids=["stays", "detached"]
)
async def test_disconnecting_stops_the_answer_unless_detached(
    plain: Plain, headers: dict[str, str], end: tuple[str, str | None]
) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT)
    asking = asyncio.create_task(plain.answer("Count", headers=headers))
    call = await chat.upstream.wait_for_request()
    await call.wait_hanging()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await plain.session.close()
    if headers:
        chat.upstream.release()
    else:
        await call.wait_closed()
    ((thread_id,),) = await chat.select("SELECT id FROM threads")
    await chat.ended(thread_id)
    assert await chat.turns(thread_id) == [end]
    await chat.quiet()


# Refusals


BAD: list[tuple[object, int, str | None, str]] = [
    (b"{", 400, "invalid_json", "JSON"),
    (b"", 400, "invalid_params", "body"),
    (b"[" * 100_000, 400, None, ""),
    ([], 400, "invalid_params", "body"),
    ({}, 400, "invalid_params", "`message`"),
    ({"message": 7}, 400, "invalid_params", "`message`"),
    ({"message": "  "}, 400, "invalid_params", "empty"),
    ({"message": "Hi", "thread_id": 7}, 400, "invalid_params", "`thread_id`"),
    ({"message": "Hi", "attachments": [1]}, 400, "invalid_params", "`attachments.0`"),
    ({"message": "Hi", "thread_id": "thr_unknown"}, 404, "not_found", ""),
    ({"message": "Hi", "attachments": ["atc_unknown"]}, 404, "not_found", ""),
]


@sqlite_only
async def test_an_invalid_body_gets_a_clear_error_and_writes_nothing(plain: Plain) -> None:
    for path in ("/api/message", "/api/stream/message"):
        for body, status, code, words in BAD:
            refused, answer = await plain.post(path, body, {"content-type": "application/json"})
            assert refused == status, (body, answer)
            assert code is None or answer["code"] == code, (body, answer)
            assert set(answer) == {"code", "message", "request_id"}
            assert words in answer["message"], (body, answer)
    assert await plain.chat.select("SELECT id FROM threads") == []


@sqlite_only
async def test_a_body_over_the_limit_is_refused(start: Start) -> None:
    chat = await start(max_body_bytes=2000)
    async with await chat.visitor() as tab:
        status, answer = await Plain(chat, tab).answer("x" * 2000)
        assert (status, answer["code"]) == (413, "body_too_large")
        assert "2000 bytes" in answer["message"]


@sqlite_only
async def test_a_body_without_a_content_type_gets_a_clear_error(plain: Plain) -> None:
    status, answer = await plain.post("/api/message", b'{"message": "Hi"}', {"content-type": "text/plain"})
    assert (status, answer["code"]) == (400, "invalid_params")
    assert "application/json" in answer["message"]


@sqlite_only
async def test_a_locked_thread_refuses_messages(plain: Plain) -> None:
    thread_id = (await plain.answer("One"))[1]["thread_id"]
    async with plain.chat.sql.begin() as connection:
        await connection.exec_driver_sql("UPDATE threads SET status = 'locked'")
    status, answer = await plain.answer("Two", thread_id)
    assert (status, answer["code"]) == (409, "thread_locked")


@sqlite_only
async def test_other_users_get_404(plain: Plain, chat: Chat) -> None:
    _, answer = await plain.answer("One")
    async with await chat.visitor() as tab:
        stranger = Plain(chat, tab)
        for path in ("/api/message", "/api/stream/message"):
            status, body = await stranger.post(path, {"message": "Two", "thread_id": answer["thread_id"]})
            assert (status, body["code"]) == (404, "not_found")
        status, _, body = await stranger.poll(answer["turn_id"])
        assert (status, body["code"]) == (404, "not_found")
        async with stranger.socket() as socket:
            await socket.send("Two", answer["thread_id"])
            assert (await socket.receive())["error"]["code"] == "not_found"
    assert await chat.messages(answer["thread_id"]) == [("user", "One"), ("assistant", answer["text"])]


@sqlite_only
async def test_openapi_describes_all_of_it(plain: Plain) -> None:
    async with plain.session.get(f"{plain.chat.url}/api/openapi.json") as response:
        described = await response.json()
    paths = described["paths"]
    for path, method in [
        ("/api/message", "post"),
        ("/api/stream/message", "post"),
        ("/api/stream/ws", "get"),
        ("/api/turns/{turn_id}", "get"),
        ("/api/turns/{turn_id}/stop", "post"),
        ("/api/turns/{turn_id}/events", "get"),
        ("/api/threads/{thread_id}/stop", "post"),
    ]:
        operation = paths[path][method]
        assert operation["summary"], path
        assert "422" not in operation["responses"], path
    answered = paths["/api/stream/message"]["post"]["responses"]["200"]["content"]
    assert {"text/event-stream", "application/x-ndjson"} == set(answered)
    assert answered["text/event-stream"]["example"].startswith("data: ")
    assert paths["/api/message"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert paths["/api/message"]["post"]["responses"]["200"]["content"]["application/json"]["example"]["text"]
    assert {"Message", "Answer", "TurnState", "ErrorBody"} <= set(described["components"]["schemas"])
