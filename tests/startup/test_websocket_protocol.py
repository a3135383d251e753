"""Limits of WebSockets and of unread responses that need short times; tests/workers/test_memory.py has the others."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from chatkit_server.startup.http_protocol import HttpProtocol
from chatkit_server.startup.unsent_bytes import UnsentBytes
from chatkit_server.startup.websocket_protocol import WebSocketProtocol
from tests.support.websocket_frames import TEXT, RawSocket, websocket_frame


class Impatient(HttpProtocol):
    read_seconds = 0.3


class ImpatientSocket(WebSocketProtocol):
    message_seconds = read_seconds = 0.3


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo a WebSocket's messages a hundred thousand times as long; answer requests with as many bytes as the path."""
    await receive()
    if scope["type"] == "http":
        body = b"x" * int(scope["path"][1:])
        headers = [(b"content-length", b"%d" % len(body)), *[h for h in scope["headers"] if h[0] == b"connection"]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"] * 100_000})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws=ImpatientSocket,
        ws_ping_interval=0.5,
        ws_ping_timeout=0.5,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest's are left alone
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task
    assert UnsentBytes._lagging == {}
    assert WebSocketProtocol._unfinished_bytes == 0


@pytest.mark.parametrize("start", [websocket_frame(TEXT, b"a", is_last=False), websocket_frame(TEXT, b"abc")[:-1]])
async def test_a_message_that_does_not_arrive_in_time_is_refused(url: str, start: bytes) -> None:
    async with RawSocket.open(url) as client:
        await client.send(start)
        assert await client.closed() == (1008, "the message did not arrive in time")


async def test_a_client_that_does_not_answer_pings_is_disconnected(url: str) -> None:
    async with RawSocket.open(url) as client:
        assert await client.closed() == (1011, "keepalive ping timeout")


async def test_a_socket_that_is_not_read_is_disconnected(url: str) -> None:
    async with RawSocket.open(url) as client:
        await client.send(websocket_frame(TEXT, b"x" * 200))  # 20 MB
        await until_lagging(1)
        await until_lagging(0)


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("size", [20_000_000, 5_000_000])
async def test_a_response_that_is_not_read_is_given_up(url: str, size: int, connection: str) -> None:
    with deaf_client(url) as client:
        client.sendall(f"GET /{size} HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n\r\n".encode())
        await until_lagging(1)
        await until_lagging(0)


async def test_a_slow_reader_gets_everything(url: str) -> None:
    size = 8_000_000
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(f"GET /{size} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
    received = 0
    while data := await reader.read(400_000):
        received += len(data)
        await asyncio.sleep(0.02)
    writer.close()
    assert received > size


async def test_beyond_the_limit_of_all_the_longest_wait_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UnsentBytes, "max_unsent", 25_000_000)
    monkeypatch.setattr(Impatient, "read_seconds", 30.0)
    request = b"GET /30000000 HTTP/1.1\r\nhost: a\r\n\r\n"  # more than the limit, so only one of them can wait
    with deaf_client(url) as first, deaf_client(url) as second:
        first.sendall(request)
        await until_lagging(1)
        (longest,) = UnsentBytes._lagging
        second.sendall(request)
        async with asyncio.timeout(30):
            while longest in UnsentBytes._lagging:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        await until_lagging(1)


def deaf_client(url: str) -> socket.socket:
    """Return a connection with a small buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    return client


async def until_lagging(count: int) -> None:
    """Wait until as many connections wait for their clients to read."""
    async with asyncio.timeout(30):
        while len(UnsentBytes._lagging) != count:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0 if count else 0.01)  # a pause of a busy machine could be longer than they wait


async def test_uvicorns_log_has_neither_headers_nor_messages(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "websockets")  # as `configure_logging` does
    caplog.set_level(logging.DEBUG)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/", protocols=["bearer.a-token"]) as connection:
            await connection.send_str("a message")
            await connection.receive()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(("uvicorn", "websockets"))]
    assert any("[accepted]" in line for line in lines)
    assert not any("a-token" in line or "a message" in line for line in lines)
