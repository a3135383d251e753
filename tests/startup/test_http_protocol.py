"""Clients that do not finish their request are disconnected, and do not keep others out."""

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from chatkit_server import Settings
from chatkit_server.startup.http_protocol import HEAD_BYTES, HttpProtocol, limit_connections
from chatkit_server.startup.open_files import RESERVED, raise_open_files


class Impatient(HttpProtocol):
    head_seconds = 0.3
    body_seconds = 0.3
    body_rate = 1000
    max_waiting = 20


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    body = await request.body()
    if request.url.path == "/stream":

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(8):
                await asyncio.sleep(0.1)
                yield b"x"

        await StreamingResponse(pieces())(scope, receive, send)
    else:
        await PlainTextResponse(str(len(body)))(scope, receive, send)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


@pytest.fixture
async def server() -> AsyncIterator[uvicorn.Server]:
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    options: dict[str, Any] = {"lifespan": "off", "log_config": None, "access_log": False, "timeout_keep_alive": 1}
    server = uvicorn.Server(uvicorn.Config(app, http=Impatient, **options))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest's are left alone
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    yield server
    server.should_exit = True
    await task
    assert HttpProtocol._waiting == {}


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    (listener,) = server.servers[0].sockets
    port: int = listener.getsockname()[1]
    return port


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send the pieces and return everything until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def receive() -> None:
        with contextlib.suppress(ConnectionError):  # the server closed it before it had read everything
            while data := await reader.read(65536):
                received.extend(data)

    # At the same time: a piece that is sent to a closed connection resets it, and what has arrived is gone.
    receiving = asyncio.create_task(receive())
    for piece in pieces:
        with contextlib.suppress(ConnectionError):
            writer.write(piece)
            await writer.drain()
        await asyncio.sleep(pause)
    async with asyncio.timeout(20):
        await receiving
    writer.close()
    return bytes(received)


HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


async def test_only_what_is_incomplete_is_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    start = HttpProtocol._start

    def recorded_start(protocol: HttpProtocol, seconds: float, callback: Any, argument: float) -> None:
        waits.append(callback.__name__)
        start(protocol, seconds, callback, argument)

    monkeypatch.setattr(HttpProtocol, "_start", recorded_start)
    monkeypatch.setattr(Impatient, "head_seconds", 30.0)
    monkeypatch.setattr(Impatient, "body_seconds", 30.0)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n"
    last = head.replace(b"host: x", b"host: x\r\nconnection: close") + b"\r\nbody"
    await exchange(port, head + b"\r\nbody", last, pause=0.05)
    assert waits == ["_refuse"], "the connection's first head"
    waits.clear()
    await exchange(port, head + b"\r\nbody", head, b"\r\nbo", b"dy", last, pause=0.05)
    assert waits == ["_refuse", "_refuse", "_check_body"]


async def test_a_complete_request_is_answered(port: int) -> None:
    assert (await exchange(port, HEAD % 3, b"abc")).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize(
    "pieces",
    [(), (b"GE",), (b"GET / HTTP/1.1\r\nhost: a\r\n",), (b"\r\n",) * 12, (b"GET / HTTP/1.1\r\n", *[b"a: b\r\n"] * 12)],
    ids=["nothing", "a method", "half a head", "empty lines", "a line now and then"],
)
async def test_a_head_that_does_not_arrive_is_given_up(port: int, pieces: tuple[bytes, ...]) -> None:
    received = await exchange(port, *pieces, pause=0.05)
    assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


async def test_a_request_on_a_connection_that_was_open_when_the_server_stops_is_answered(
    server: uvicorn.Server, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Impatient, "head_seconds", 30.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(20):
        await until(lambda: bool(HttpProtocol._waiting))
        server.should_exit = True
        await until(lambda: not server.servers[0].is_serving())
        writer.write(HEAD % 3 + b"abc")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_a_body_that_stops_is_given_up(port: int) -> None:
    assert (await exchange(port, HEAD % 100, b"abc")).startswith(b"HTTP/1.1 408 ")
    assert (await exchange(port, HEAD % 100, *[b"a"] * 20, pause=0.05)).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed(port: int) -> None:
    head = HEAD.replace(b"connection: close\r\n", b"")
    assert (await exchange(port, head % 3, b"abc")).endswith(b"\r\n\r\n3")


async def test_the_time_of_a_body_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpProtocol, "body_seconds", HttpProtocol.body_seconds)
    monkeypatch.setattr(HttpProtocol, "max_waiting", HttpProtocol.max_waiting)
    limit_connections(Settings(_env_file=None, body_seconds=7.5))
    assert HttpProtocol.body_seconds == 7.5
    assert HttpProtocol.max_waiting == raise_open_files() // 2


async def test_a_large_body_may_take_its_time(port: int) -> None:
    for _ in range(10):  # a busy machine may send too little for too long
        received = await exchange(port, HEAD % 2000, *[b"a" * 200] * 10, pause=0.08)
        if received.endswith(b"\r\n\r\n2000"):
            break
    assert received.endswith(b"\r\n\r\n2000")


async def test_a_head_without_an_end_is_refused(port: int) -> None:
    received = await exchange(port, b"GET / HTTP/1.1\r\na: ", *[b"x" * 10_000] * (HEAD_BYTES // 10_000 + 2))
    assert received == b"" or received.startswith(b"HTTP/1.1 431 ")


async def test_a_stray_line_end_does_not_cut_a_stream(port: int) -> None:
    received = await exchange(port, b"GET /stream HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", b"\r\n")
    assert received.count(b"x") == 8


async def test_the_oldest_unfinished_requests_make_room(port: int) -> None:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
    for _, writer in connections:
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n")
    assert (await exchange(port, HEAD % 3, b"abc")).endswith(b"3")
    for _, writer in connections:
        writer.close()


async def test_the_system_takes_little_of_what_a_client_does_not_read(server: uvicorn.Server, port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: bool(server.server_state.connections))
    (connection,) = server.server_state.connections
    opened = connection.transport.get_extra_info("socket")
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == HttpProtocol.system_bytes
    writer.close()


async def test_nothing_waits_for_the_client_of_a_connection_that_was_reset(server: uvicorn.Server, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    (connection,) = cast(set[Any], server.server_state.connections)
    await until(lambda: connection.timeout_keep_alive_task is not None)
    timer = connection.timeout_keep_alive_task
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: not server.server_state.connections)
    assert timer.cancelled()
    connection.timeout_keep_alive_handler()  # as if the timer had just run
    assert connection._progress_check is None, "would report that the client does not read"


async def test_the_limit_of_open_files_is_raised() -> None:
    assert raise_open_files() >= RESERVED


async def test_300_half_sent_requests_keep_nobody_out(tmp_path: Path) -> None:
    """At 256 file descriptors, which the server cannot raise."""
    command = 'ulimit -n 256 && exec "$0" -m chatkit_server serve --port "$1"'
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHATKIT_")}
    environment |= {"CHATKIT_MODEL": "demo", "CHATKIT_DATA_DIR": str(tmp_path)}
    arguments = ("-c", command, sys.executable, str(port))
    server = await asyncio.create_subprocess_exec("sh", *arguments, cwd=tmp_path, env=environment)
    attackers = []
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, asyncio.timeout(90):
            await _until_healthy(http)
            for number in range(300):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write((b"GET / HTTP/1.1\r\nhost: a\r\n", HEAD % 50)[number % 2])
                attackers.append(writer)
            for path in ("/healthz", "/readyz", "/"):
                async with http.get(path, headers={"connection": "close"}) as response:
                    assert response.status == 200
    finally:
        for writer in attackers:
            writer.close()
        server.terminate()
        await server.wait()


async def _until_healthy(http: aiohttp.ClientSession) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get("/healthz") as response:
                if response.status == 200:
                    return
        await asyncio.sleep(0.1)
