"""The head of a stream that a `ClientWriter` makes is the one that uvicorn makes."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chatkit_server.fast_path.client_writer import ClientWriter

DATE = [(b"date", b"Sun, 29 Nov 2026 13:00:00 GMT")]
HEAD = {"type": "http", "method": "HEAD", "path": "/", "http_version": "1.1", "client": None, "query_string": b""}
PLAIN = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-chatkit-turn-id", b"turn_1")]
FRAMES = b'id: 1\ndata: {"type":"thread.created"}\n\n'


class Recorded(asyncio.Transport):
    """What was written, one entry for each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


def connection(**state: Any) -> RequestResponseCycle:
    logger = logging.getLogger(__name__)
    transport = Recorded()
    cycle = RequestResponseCycle(
        scope={
            "type": "http",
            "method": "POST",
            "path": "/chatkit",
            "http_version": "1.1",
            "client": None,
            "query_string": b"",
        },  # type: ignore[typeddict-item]
        transport=transport,
        flow=FlowControl(transport),
        logger=logger,
        access_logger=logger,
        access_log=False,
        default_headers=DATE,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )
    for name, value in state.items():
        setattr(cycle, name, value)
    return cycle


async def written(
    headers: list[tuple[bytes, bytes]], state: Mapping[str, Any], status: int, *, directly: bool
) -> tuple[list[bytes], bool]:
    """Return what a stream's head, its first frames and its end make the connection write; and whether uvicorn made
    the head."""
    cycle = connection(**state)
    writer = ClientWriter.of(cycle.send)
    assert writer is not None
    by_uvicorn: list[str] = []

    async def usual(message: Any) -> None:
        by_uvicorn.append(message["type"])
        await cycle.send(message)

    writer._send = usual
    send = writer.send if directly else usual
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": FRAMES, "more_body": True})
    if directly:
        assert writer.has_sent(FRAMES) == bool(cycle.chunked_encoding)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    assert isinstance(cycle.transport, Recorded)
    return cycle.transport.writes, "http.response.start" in by_uvicorn


@pytest.mark.parametrize(
    "state", [{}, {"keep_alive": False}, {"waiting_for_100_continue": True}, {"default_headers": []}]
)
async def test_the_head_is_that_of_uvicorn(state: Mapping[str, Any]) -> None:
    usual, _ = await written(PLAIN, state, 200, directly=False)
    assert await written(PLAIN, state, 200, directly=True) == (usual, False)
    lists: list[Any] = [[*header] for header in PLAIN]  # as ASGI allows
    assert await written(lists, state, 200, directly=True) == (usual, False)


@pytest.mark.parametrize(
    ("headers", "state", "status"),
    [
        ([*PLAIN, (b"X-Name", b"upper case")], {}, 200),
        ([*PLAIN, (b"connection", b"close")], {}, 200),
        ([*PLAIN, (b"content-length", str(len(FRAMES)).encode())], {}, 200),
        (PLAIN, {"access_log": True}, 200),
        (PLAIN, {"scope": HEAD}, 200),
        (PLAIN, {}, 503),
    ],
)
async def test_an_unusual_head_is_left_to_uvicorn(
    headers: list[tuple[bytes, bytes]], state: Mapping[str, Any], status: int
) -> None:
    usual, _ = await written(headers, state, status, directly=False)
    assert await written(headers, state, status, directly=True) == (usual, True)


@pytest.mark.parametrize("header", [(b"x-name", b"two\r\nlines"), (b"x name", b"value")])
async def test_an_invalid_header_is_refused_as_by_uvicorn(header: tuple[bytes, bytes]) -> None:
    for directly in (False, True):
        with pytest.raises(RuntimeError, match="Invalid HTTP header"):
            await written([*PLAIN, header], {}, 200, directly=directly)


async def test_nothing_is_written_once_the_client_has_left() -> None:
    assert await written(PLAIN, {"disconnected": True}, 200, directly=True) == ([], True)
