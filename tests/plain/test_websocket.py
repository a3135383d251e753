"""`GET /api/stream/ws`: a conversation over one connection."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server import create_app
from chatkit_server.auth.anonymous import cookie_name
from chatkit_server.routes.websocket import MESSAGES_AT_ONCE
from tests.plain.plain import Plain, Socket, both_apis, key, sqlite_only
from tests.serving import SECRET, make_settings
from tests.support.live_server import live
from tests.support.openai_answers import RATE_LIMIT, Answer
from tests.support.openai_server import OpenAIServer
from tests.turns.chat import Chat, model_input
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)
PAGE = "https://page.example"


@both_apis
async def test_several_messages_over_one_connection(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("One."), Answer("Two and three."))
    async with plain.socket() as socket:
        await socket.send("First")
        started = await socket.started()
        first = await socket.messages()
        assert (first.text, first.done["turn_id"]) == ("One.", started["turn_id"])
        await socket.send("Second", started["thread_id"])
        await socket.started()
        second = await socket.messages()
    assert second.text == "Two and three."
    conversation = [("user", "First"), ("assistant", "One."), ("user", "Second"), ("assistant", "Two and three.")]
    assert await plain.chat.messages(started["thread_id"]) == conversation
    assert (await plain.tab.reload(started["thread_id"])).texts() == conversation
    assert model_input(plain.chat.upstream.requests[1])[-3:] == conversation[:3]
    ids = await plain.chat.select("SELECT DISTINCT request_id FROM turns")
    assert len(ids) == 2


async def test_stop_in_the_middle(plain: Plain) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT, Answer("five"))
    async with plain.socket() as socket:
        await socket.send("Count")
        thread_id = (await socket.started())["thread_id"]
        await socket.messages(up_to="one two")
        await socket.stop()
        end = (await socket.messages()).done
        assert (end["status"], end["stop_reason"]) == ("stopped", "user")
        await chat.upstream.requests[0].wait_closed()
        await socket.stop()  # nothing is running
        await socket.send("Go on", thread_id)
        await socket.started()
        assert (await socket.messages()).text == "five"
    assert (await chat.items(thread_id))[:3] == ["user_message", "assistant_message", "sdk_hidden_context"]


@sqlite_only
async def test_stop_by_http_ends_the_answer_of_a_socket(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.socket() as socket:
        await socket.send("Count")
        turn_id = (await socket.started())["turn_id"]
        await socket.messages(up_to="one two")
        assert (await plain.stop(turn_id))[1]["status"] == "stopped"
        assert (await socket.messages()).done["stop_reason"] == "user"


@pytest.mark.parametrize("same_thread", [True, False], ids=["same thread", "new thread"])
async def test_a_new_message_replaces_the_running_answer(plain: Plain, same_thread: bool) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT, Answer("five"))
    async with plain.socket() as socket:
        await socket.send("Count")
        thread_id = (await socket.started())["thread_id"]
        await socket.messages(up_to="one two")
        await socket.send("Go on", thread_id if same_thread else None)
        assert (await socket.messages()).done["stop_reason"] == "superseded"
        await socket.started()
        second = await socket.messages()
    assert second.text == "five"
    assert (second.done["thread_id"] == thread_id) is same_thread
    assert (await chat.messages(thread_id))[:2] == [("user", "Count"), ("assistant", "one two")]
    assert (await chat.turns(thread_id))[0] == ("stopped", "superseded")


@sqlite_only
async def test_a_refused_message_does_not_affect_the_running_answer(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.socket() as socket:
        await socket.send("Count")
        await socket.started()
        await socket.messages(up_to="one two")
        await socket.send("Go on", "thr_unknown")
        assert (await socket.receive())["error"]["code"] == "not_found"
        plain.chat.upstream.release()
        assert (await socket.messages()).done["status"] == "completed"


@sqlite_only
async def test_a_repeated_message_is_sent_once(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.socket() as socket:
        for _ in range(2):
            await socket.send("Count", key="k1")
        await socket.started()
        await socket.messages(up_to="one two")
        plain.chat.upstream.release()
        assert (await socket.messages()).text == " three four"
    assert await plain.user_messages() == [("Count",)]


async def leave(socket: Socket, how: str) -> None:
    if how == "close":
        await socket.connection.close()
        return
    transport = socket.connection._response.connection
    assert transport is not None
    assert transport.transport is not None
    transport.transport.abort()


@sqlite_only
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_closed_socket_ends_the_answer(plain: Plain, how: str) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT)
    async with plain.socket() as socket:
        await socket.send("Count")
        thread_id = (await socket.started())["thread_id"]
        await socket.messages(up_to="one two")
        await leave(socket, how)
        await chat.upstream.requests[0].wait_closed()
        await chat.ended(thread_id)
    assert await chat.turns(thread_id) == [("stopped", "disconnected")]
    assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
    await plain.session.close()
    await chat.quiet()


async def test_a_detached_answer_continues_without_its_socket(plain: Plain) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT)
    async with plain.socket() as socket:
        await socket.send("Count", detach=True, key="k1")
        started = await socket.started()
        await socket.messages(up_to="one two")
    assert (await plain.poll(started["turn_id"]))[2]["status"] == "running"
    chat.upstream.release()
    _, answer = await plain.answer("Count", headers=key("k1"))
    assert (answer["turn_id"], answer["text"]) == (started["turn_id"], "one two three four")


@sqlite_only
async def test_a_failed_answer_is_an_error_and_an_end(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("one two three", error_after=2, error=RATE_LIMIT), Answer("five"))
    async with plain.socket() as socket:
        await socket.send("Count")
        await socket.started()
        messages = await socket.messages()
        assert (messages.text, messages.error["code"], messages.done["status"]) == (
            "one two",
            "model_rate_limit",
            "failed",
        )
        await socket.send("Again", messages.done["thread_id"])
        await socket.started()
        assert (await socket.messages()).text == "five"


BAD: list[tuple[str | bytes, str]] = [
    ("{", "invalid_json"),
    ("[" * 10_000, "invalid_json"),
    ("[" * 100_000, "limit_exceeded"),
    (b'{"message": "binary"}', "invalid_json"),
    ("[]", "invalid_params"),
    ('{"type": "sing"}', "invalid_params"),
    ('{"type": "message"}', "invalid_params"),
    ('{"message": 7}', "invalid_params"),
    ('{"message": " "}', "invalid_params"),
    ('{"message": "Hi", "key": ""}', "invalid_params"),
    ('{"message": "' + "x" * 200_000 + '"}', "body_too_large"),
]


@sqlite_only
async def test_an_invalid_frame_only_gets_an_error(start: Start) -> None:
    chat = await start(max_body_bytes=150_000)
    async with await chat.visitor() as tab, Plain(chat, tab).socket() as socket:
        for frame, code in BAD:
            send = socket.connection.send_bytes if isinstance(frame, bytes) else socket.connection.send_str
            await send(frame)  # type: ignore[arg-type]
            refused = await socket.receive()
            assert refused["error"]["code"] == code, (frame[:40], refused)
            assert refused["error"]["message"]
            assert refused["error"]["request_id"]
        await socket.connection.send_json({"message": "Hello"})  # the type is optional
        await socket.started()
        assert (await socket.messages()).done["status"] == "completed"


# Access


async def opened(chat: Chat, origin: str | None, **options: Any) -> tuple[int, Any]:
    headers = {} if origin is None else {"origin": origin}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        try:
            async with session.ws_connect(f"{chat.url}/api/stream/ws", headers=headers, **options) as socket:
                return 101, socket._response.cookies
        except aiohttp.WSServerHandshakeError as error:
            return error.status, error.headers


@sqlite_only
async def test_pages_of_other_origins_must_be_listed(start: Start) -> None:
    chat = await start(cors_origins=[PAGE])
    assert (await opened(chat, None))[0] == 101
    assert (await opened(chat, PAGE))[0] == 101
    assert (await opened(chat, chat.url))[0] == 101
    for origin in ("https://evil.example", f"{PAGE}.evil.example", "null", "http://127.0.0.1:1"):
        status, headers = await opened(chat, origin)
        assert (status, headers["content-type"]) == (403, "application/json"), origin
    (no_origin,) = [await opened(await start(), PAGE)]
    assert no_origin[0] == 403


@sqlite_only
async def test_cookies_are_not_trusted_if_any_page_may_call(start: Start) -> None:
    chat = await start(cors_origins=["*"])
    async with await chat.visitor() as tab:
        plain = Plain(chat, tab)
        _, answer = await plain.answer("Mine")
        async with plain.socket({"origin": "https://evil.example"}) as socket:
            await socket.send("Yours", answer["thread_id"])
            assert (await socket.receive())["error"]["code"] == "not_found"
        async with plain.socket({"origin": chat.url}) as socket:
            await socket.send("Mine too", answer["thread_id"])
            await socket.started()
            await socket.messages()
    assert (await opened(chat, "https://evil.example"))[1] == {}


@sqlite_only
async def test_a_new_user_gets_a_cookie_with_the_handshake(chat: Chat) -> None:
    status, cookies = await opened(chat, None)
    assert status == 101
    assert cookies[cookie_name(SECRET)]["httponly"]


@sqlite_only
async def test_a_plain_request_is_asked_to_upgrade(plain: Plain) -> None:
    async with plain.session.get(f"{plain.chat.url}/api/stream/ws") as response:
        assert (response.status, (await response.json())["code"]) == (426, "upgrade_required")


@sqlite_only
async def test_a_restart_lets_the_answer_of_a_socket_finish(start: Start) -> None:
    chat = await start()
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, Plain(chat, tab).socket() as socket:
        await socket.send("Count")
        thread_id = (await socket.started())["thread_id"]
        await socket.messages(up_to="one two")
        chat.services.turns.shutdown.drain()
        await socket.send("More", thread_id)
        assert (await socket.receive())["error"]["code"] == "server_stopping"
        chat.upstream.release()
        assert (await socket.messages()).text == " three four"
    async with asyncio.timeout(30):
        await chat.services.turns.shutdown.close()
    assert await chat.turns(thread_id) == [("completed", None)]


@sqlite_only
async def test_a_stopping_server_interrupts_the_turn_of_a_socket(
    upstream: OpenAIServer, engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    """The server closes the socket itself: this does not count as a disconnect of the client."""
    upstream.script(COUNT)
    app = create_app(make_settings(tmp_path, model="gpt-test", base_url=upstream.base_url, database_url=database_url))
    async with aiohttp.ClientSession() as session:
        async with live(app) as url:
            connection = await session.ws_connect(f"{url}/api/stream/ws")
            await Socket(connection).send("Count")
            await Socket(connection).messages(up_to="one two")
        await connection.close()
    async with engine.connect() as rows:
        turns = [tuple(row) for row in await rows.execute(text("SELECT status, stop_reason FROM turns"))]
        messages = [row.text for row in await rows.execute(text("SELECT text FROM messages ORDER BY position"))]
    assert turns == [("interrupted", "shutdown")]
    assert messages == ["Count", "one two"]


@sqlite_only
async def test_a_user_may_open_some_sockets(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain.chat.services.settings, "sockets_per_user", 2)
    async with plain.socket(), plain.socket():
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with plain.socket():
                pass
        assert refused.value.status == 429
    async with plain.socket():  # the others are closed
        pass


@sqlite_only
async def test_messages_too_fast_close_the_connection(plain: Plain) -> None:
    async with plain.socket() as socket:
        for _ in range(MESSAGES_AT_ONCE + 10):
            await socket.connection.send_str('{"type": "stop"}')
        error = await socket.connection.receive_json()
        assert error["error"]["code"] == "too_many_requests"
        closed = await socket.connection.receive()
        assert (closed.type, socket.connection.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)
