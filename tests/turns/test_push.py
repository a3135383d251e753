"""Frames are written to the client's connection where they are made, unless something is between them and the client.

Pushed or sent by the response's task, a client gets the same.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from yarl import URL

from chatkit_server import create_app, lifespan_of
from chatkit_server.fast_path.client_writer import ATTRIBUTES, ClientWriter
from chatkit_server.files.signed_links import REFERENCE_MARK
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Tab, make_settings
from tests.support.chatkit import user_input
from tests.support.live_server import live
from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import OpenAIServer, bench_tokens
from tests.support.sse import Frame, Json, parse
from tests.turns.chat import Chat
from tests.turns.coming_back import asking, attaching, read_up_to
from tests.turns.conftest import Start

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

WORDS = "one two three four five six seven eight"
COUNT = Answer(WORDS, rate=100)
TRIES = 10
"""A pause of a busy machine ends a window, is one, or lets an answer begin before its reader sleeps: what is to be seen
is seen in one of these."""


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was written directly."""
    frames: list[bytes] = []
    write = ClientWriter.write

    def recording_write(writer: ClientWriter, data: bytes) -> bool:
        if is_written := write(writer, data):
            frames.append(data)
        return is_written

    monkeypatch.setattr(ClientWriter, "write", recording_write)
    return frames


def merged(events: list[Json]) -> list[Json]:
    """Return the events without ids and times, with the text of consecutive deltas joined."""
    result: list[Json] = []
    for event in events:
        update = event.get("update", {})
        last = result[-1].get("update", {}) if result else {}
        if update.get("type") == last.get("type") == "assistant_message.content_part.text_delta":
            last["delta"] += update["delta"]
        else:
            result.append(event)
    return [without_ids(event) for event in result]


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        names = ("id", "item_id", "thread_id", "created_at", "updated_at")
        return {name: without_ids(entry) for name, entry in value.items() if name not in names}
    return [without_ids(entry) for entry in value] if isinstance(value, list) else value


def deltas(frames: list[Frame]) -> list[str]:
    """Return the text of each delta."""
    events = [frame.json for frame in frames if frame.comment is None]
    updates = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    return [update["delta"] for update in updates if "delta" in update]


@sqlite_only
async def test_a_pushed_answer_is_the_answer_that_its_task_sends(
    chat: Chat, pushed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.upstream.default = COUNT
    async with await chat.visitor() as tab:
        for _ in range(TRIES):
            pushed.clear()
            by_push = await tab.create("Count")
            if "".join(deltas(parse(b"".join(pushed)))) == WORDS:
                break
        assert "".join(deltas(parse(b"".join(pushed)))) == WORDS
        pushed.clear()
        monkeypatch.setattr(ClientWriter, "has_sent", lambda *_: False)
        by_task = await tab.create("Count")
        assert pushed == []
    assert merged(by_push.events) == merged(by_task.events)
    assert by_push.headers.keys() == by_task.headers.keys()
    await chat.quiet()


@sqlite_only
async def test_the_head_of_an_answer_takes_the_direct_way(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bool] = []
    start = ClientWriter._start

    def recording_start(writer: ClientWriter, message: MutableMapping[str, Any]) -> bool:
        heads.append(start(writer, message))
        return heads[-1]

    monkeypatch.setattr(ClientWriter, "_start", recording_start)
    access_log = logging.getLogger("uvicorn.access")  # off, as `chatkit-server serve` has it
    monkeypatch.setattr(access_log, "handlers", [])
    monkeypatch.setattr(access_log, "propagate", False)
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab:
        heads.clear()
        await tab.create("Count")
    assert heads == [True]
    await chat.quiet()


@sqlite_only
async def test_a_reader_that_attaches_gets_pushes_after_its_snapshot(chat: Chat, pushed: list[bytes]) -> None:
    chat.upstream.default = Answer(WORDS, hang_after=2, rate=100)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        for _ in range(TRIES):
            async with asking(tab, "Count") as first:
                await read_up_to(first, "one two")
                async with attaching(second, first.thread_id) as again:
                    await again.wait_for("thread.item.added")
                    pushed.clear()
                    chat.upstream.release()
                    await asyncio.gather(first.read(), again.read())
            assert first.picture.items == again.picture.items == (await second.reload(first.thread_id)).items
            count = "".join(sorted(deltas(parse(b"".join(pushed))))).count("eight")
            if count == 2:
                break
        assert count == 2, "both get it"
    await chat.quiet()


@sqlite_only
async def test_a_client_that_lags_is_sent_to_by_its_task_and_pushed_to_again_when_it_has_caught_up(
    chat: Chat, pushed: list[bytes]
) -> None:
    tokens = bench_tokens(30_000)
    chat.upstream.script(Answer(Text("", tokens=[*tokens, *WORDS.split()]), hang_after=len(tokens)))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Long", receive_buffer=4096)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        await (await chat.upstream.wait_for_request()).wait_hanging(within=20)
        assert "".join(tokens) not in "".join(deltas(parse(b"".join(pushed)))), "it did not keep up"
        await stream.read_until(lambda frame: tokens[-1] in frame.data)
        pushed.clear()
        chat.upstream.release()
        await stream.read_to_end()
        assert pushed
        assert stream.ended
        text = next(e["item"] for e in reversed(stream.events) if e["type"] == "thread.item.done")["content"][0]["text"]
        assert text == "".join([*tokens, *WORDS.split()])
        stream.close()
    await chat.quiet()


@sqlite_only
async def test_two_thousand_tokens_at_full_speed_arrive_as_deltas(chat: Chat) -> None:
    tokens = bench_tokens(2000)
    chat.upstream.script(Answer(Text("", tokens=tokens)))
    async with await chat.visitor() as tab:
        reply = await tab.create("Long")
    added = [event for event in reply.of_type("thread.item.added") if event["item"]["type"] == "assistant_message"]
    assert [event["item"]["content"] for event in added] == [[]]
    assert "".join(deltas(reply.frames)) == "".join(tokens)


@sqlite_only
async def test_frames_with_links_to_files_are_sent_by_the_task(chat: Chat, pushed: list[bytes]) -> None:
    chat.upstream.script(Answer(Text("", tokens=["See ", 'the "', "attachment:", '" ']), hang_after=2))
    async with await chat.visitor() as tab, asking(tab, "Look") as reply:
        await read_up_to(reply, 'See the "')  # text that is merged with it would not begin with the mark
        chat.upstream.release()
        await reply.read()
    assert "".join(deltas(reply.frames)) == 'See the "attachment:" '
    assert any(b'"delta":"attachment:' in frame.data.encode() for frame in reply.frames)
    assert pushed
    assert not any(REFERENCE_MARK in frames for frames in pushed)
    await chat.quiet()


@sqlite_only
async def test_a_request_may_choose_its_window(chat: Chat, pushed: list[bytes]) -> None:
    chat.upstream.default = Answer(WORDS, hang_after=1, rate=200)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        for _ in range(TRIES):
            async with asking(tab, "Count", {"x-chatkit-flush-ms": "1000"}) as slow:
                await read_up_to(slow, "one")
                async with attaching(second, slow.thread_id) as quick:
                    await quick.wait_for("thread.item.added")
                    chat.upstream.release()
                    await asyncio.gather(slow.read(), quick.read())
            assert slow.picture.items == quick.picture.items
            if (len(deltas(slow.frames)), len(deltas(quick.frames)) > 2) == (2, True):
                break
        assert len(deltas(slow.frames)) == 2, "the first, and the rest"
        assert len(deltas(quick.frames)) > 2
        turn_id = slow.headers["x-chatkit-turn-id"]
        for value, status in [("0", 200), ("12.5", 200), ("-1", 400), ("1001", 400), ("soon", 400)]:
            headers = {"x-chatkit-flush-ms": value}
            async with tab.session.get(f"{chat.url}/api/turns/{turn_id}/events", headers=headers) as response:
                assert response.status == status, value


@sqlite_only
@pytest.mark.parametrize("value", ["-1", "1001", "nan", "inf", "soon", ""])
async def test_a_window_that_is_not_one_is_refused(chat: Chat, value: str) -> None:
    async with await chat.visitor() as tab:
        reply = await tab.post("threads.create", {"input": {}}, {"x-chatkit-flush-ms": value})
        assert reply.error is not None
        assert "x-chatkit-flush-ms" in reply.error["message"]
    assert chat.upstream.requests == []


@sqlite_only
async def test_the_setting_is_the_default_window(start: Start) -> None:
    chat = await start(flush_ms=1000)
    chat.upstream.default = Answer(WORDS, rate=200)
    async with await chat.visitor() as tab:
        for _ in range(TRIES):
            if (count := len(deltas((await tab.create("Count")).frames))) == 2:
                break
        assert count == 2


@sqlite_only
async def test_nothing_is_pushed_without_the_fast_path(start: Start, pushed: list[bytes]) -> None:
    chat = await start(fast_path=False)
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab:
        assert "".join(deltas((await tab.create("Count")).frames)) == WORDS
    assert pushed == []


class Shout:
    """An author's middleware: it changes what the answer says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def shouting_send(message: MutableMapping[str, Any]) -> None:
            if b"seven" in message.get("body", b""):
                message = {**message, "body": message["body"].replace(b"seven", b"SEVEN")}
            await send(message)

        await self.app(scope, receive, shouting_send if scope["type"] == "http" else send)


def plain(chat: FastAPI) -> ASGIApp:
    return chat


def with_gzip(chat: FastAPI) -> ASGIApp:
    chat.add_middleware(GZipMiddleware, minimum_size=0)
    return chat


def with_own_middleware(chat: FastAPI) -> ASGIApp:
    chat.add_middleware(Shout)
    return chat


def in_middleware(chat: FastAPI) -> ASGIApp:
    return Shout(chat)


def mounted(chat: FastAPI) -> ASGIApp:
    app = FastAPI(lifespan=lifespan_of(chat))
    app.mount("/", chat)
    app.add_middleware(Shout)
    return app


def around_a_patched_stack(chat: FastAPI) -> ASGIApp:
    """As instrumentations do: the list of middlewares does not show it."""
    build = chat.build_middleware_stack
    chat.build_middleware_stack = lambda: Copying(build())  # type: ignore[method-assign]
    return chat


class Copying:
    """Passes on equal bytes that are not the same object."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def copying_send(message: MutableMapping[str, Any]) -> None:
            if "body" in message:
                message = {**message, "body": bytes(bytearray(message["body"]))}
            await send(message)

        await self.app(scope, receive, copying_send if scope["type"] == "http" else send)


@asynccontextmanager
async def served(folder: Path, upstream: OpenAIServer, wrap: Callable[[FastAPI], ASGIApp]) -> AsyncIterator[str]:
    copy_sqlite(folder / DATABASE)
    settings = make_settings(folder, model="gpt-test", base_url=upstream.base_url, api="responses", model_retries=0)
    async with live(wrap(create_app(settings))) as url:
        yield url


@pytest.mark.parametrize(
    "wrap", [plain, with_gzip, with_own_middleware, in_middleware, mounted, around_a_patched_stack]
)
async def test_nothing_is_pushed_past_a_middleware_that_is_not_ours(
    tmp_path: Path, upstream: OpenAIServer, pushed: list[bytes], wrap: Callable[[FastAPI], ASGIApp]
) -> None:
    upstream.script(COUNT)
    async with served(tmp_path, upstream, wrap) as url, Tab(url) as tab:
        await tab.list()
        reply = await tab.create("Count")
        text = "".join(deltas(reply.frames))
    assert bool(pushed) == (wrap is plain)
    has_shout = wrap in (with_own_middleware, in_middleware, mounted)
    assert text == (WORDS.replace("seven", "SEVEN") if has_shout else WORDS)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_old_client_and_one_that_sends_its_next_request_early_get_the_whole_answer(
    tmp_path: Path, upstream: OpenAIServer, pushed: list[bytes], version: str
) -> None:
    upstream.script(COUNT)
    async with served(tmp_path, upstream, plain) as url, Tab(url) as tab:
        await tab.list()
        body = await raw_answers(tab, url, version)
    assert pushed
    answer, *others = body.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert (b"connection: close" in answer) == (version == "1.0")
    assert b"transfer-encoding: chunked" in answer
    assert b'"delta":"' + WORDS.split()[0].encode() in answer
    assert b"thread.item.done" in answer
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert [b'"ok"' in other for other in others] == ([] if version == "1.0" else [True])


async def raw_answers(tab: Tab, url: str, version: str) -> bytes:
    """Post a message without a library, with HTTP/1.1 also a second request; return all that comes."""
    address = urlsplit(url)
    payload = json.dumps({"type": "threads.create", "params": {"input": user_input("Count")}}).encode()
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in tab.cookies.filter_cookies(URL(url)).values())
    common = f"host: {address.netloc}\r\ncookie: {cookies}\r\n"
    requests = f"POST /chatkit HTTP/{version}\r\n{common}accept: text/event-stream\r\n".encode()
    requests += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n".encode() + payload
    if version == "1.1":
        requests += f"GET /healthz HTTP/1.1\r\n{common}connection: close\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(requests)
    async with asyncio.timeout(10):
        data = await reader.read()
    writer.close()
    return data


def test_uvicorn_has_what_a_writer_uses() -> None:
    """A uvicorn without these attributes gets no pushes: then this test says so."""
    names = {*RequestResponseCycle.__init__.__code__.co_names, *RequestResponseCycle.__init__.__code__.co_varnames}
    assert names.issuperset(ATTRIBUTES)
    assert "chunked_encoding" in RequestResponseCycle.send.__code__.co_names


def test_only_the_send_of_a_connection_has_a_writer() -> None:
    async def send(message: MutableMapping[str, Any]) -> None: ...

    class Other:
        async def send(self, message: MutableMapping[str, Any]) -> None: ...

    sends: list[Callable[[MutableMapping[str, Any]], Awaitable[None]]] = [send, Other().send]
    assert [ClientWriter.of(each) for each in sends] == [None, None]
