"""Parse a ChatKit stream byte by byte, and read one through a raw socket that can stall or disconnect at any point.

`RawStream` reads from its socket only in its `read` methods: not calling them simulates a stalled reader, `close` a
closed tab and `reset` a lost network. It uses no HTTP library, which would read ahead or close the connection cleanly.
"""

import asyncio
import json
import select
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from httptools import HttpResponseParser

Json = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """One server-sent event: its fields as sent, or the text of a comment such as `: ping`."""

    data: str = ""
    id: str | None = None
    event: str | None = None
    retry: str | None = None
    comment: str | None = None

    @property
    def json(self) -> Json:
        """The parsed event. Raises `ValueError` if the frame contains none."""
        event = json.loads(self.data)
        assert isinstance(event, dict)
        return event


class SseParser:
    """Turns bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._partial_line = bytearray()
        self._fields: dict[str, list[str]] = {}

    @property
    def unfinished(self) -> bool:
        """Whether the bytes so far end inside a frame."""
        return bool(self._partial_line or self._fields)

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        *lines, rest = chunk.split(b"\n")  # not with the line so far: of long lines, each chunk would copy all
        if lines:
            lines[0] = bytes(self._partial_line + lines[0])
            self._partial_line.clear()
        self._partial_line += rest
        for raw in lines:
            line = raw.removesuffix(b"\r").decode()
            if line.startswith(":"):
                yield Frame(comment=line[1:].strip())
            elif line:
                name, _, value = line.partition(":")
                self._fields.setdefault(name, []).append(value.removeprefix(" "))
            elif self._fields:
                yield self._frame(self._fields)
                self._fields = {}

    @staticmethod
    def _frame(fields: Mapping[str, list[str]]) -> Frame:
        last = {name: values[-1] for name, values in fields.items()}
        data = "\n".join(fields.get("data", []))
        return Frame(data, last.get("id"), last.get("event"), last.get("retry"))


def parse(body: bytes) -> list[Frame]:
    """Return all frames of a complete body. Raises `ValueError` if it ends inside a frame."""
    parser = SseParser()
    frames = list(parser.feed(body))
    if parser.unfinished:
        raise ValueError("the body ends inside a frame")
    return frames


class RawStream:
    """One POST over a plain socket, and the part of the response that was read.

    async with await RawStream.post(base_url, "/chatkit", body, headers) as stream:
        await stream.read_until(lambda frame: "text_delta" in frame.data)
        stream.close()
    """

    def __init__(self, connection: socket.socket) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.frames: list[Frame] = []
        self.body = bytearray()
        self.ended = False
        """Whether the response was complete."""
        self._socket = connection
        self._sse = SseParser()
        self._http = HttpResponseParser(_Callbacks(self))

    @classmethod
    async def post(
        cls,
        base_url: str,
        path: str,
        body: object,
        headers: Mapping[str, str] | None = None,
        *,
        receive_buffer: int | None = None,
    ) -> Self:
        """Send the request and return without reading; with a small `receive_buffer`, a stall takes effect sooner."""
        url = urlsplit(base_url)
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (url.hostname, url.port))
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {
            "host": url.netloc,
            "content-type": "application/json",
            "accept": "text/event-stream",
            "content-length": str(len(payload)),
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await loop.sock_sendall(connection, f"POST {url.path}{path} HTTP/1.1\r\n{head}\r\n".encode() + payload)
        return cls(connection)

    @property
    def events(self) -> list[Json]:
        """The events read so far, without comments."""
        return [frame.json for frame in self.frames if frame.comment is None]

    async def read_until(self, matches: Callable[[Frame], bool], within: float = 30.0) -> Frame:
        """Read until the first new frame that matches. Raises `EOFError` or `TimeoutError` if none arrives."""
        checked = len(self.frames)
        async with asyncio.timeout(within):
            while True:
                for frame in self.frames[checked:]:
                    checked += 1
                    if matches(frame):
                        return frame
                if not await self.read():
                    raise EOFError(f"the response ({self.status}) ended before a matching frame")

    async def read_frames(self, count: int, within: float = 30.0) -> list[Frame]:
        """Read until there are `count` frames in total, or the response ends."""
        async with asyncio.timeout(within):
            while len(self.frames) < count and await self.read():
                pass
        return self.frames

    async def read_to_end(self, within: float = 60.0) -> list[Frame]:
        """Read the whole response."""
        async with asyncio.timeout(within):
            while await self.read():
                pass
        return self.frames

    async def read(self) -> bool:
        """Read once from the socket. Returns False at the end of the response or connection."""
        if self.ended:
            return False
        chunk = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        if chunk:
            self._http.feed_data(chunk)
        return bool(chunk)

    @property
    def has_arrived(self) -> bool:
        """Whether `read` would return at once: there are bytes, or the connection has ended."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return self.ended or bool(poll.poll(0))

    def close(self) -> None:
        """Close the socket, like a closed tab."""
        self._socket.close()

    def reset(self) -> None:
        """Close the socket with a TCP reset, like a lost network."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    def received(self, data: bytes) -> None:
        self.body += data
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            self.frames.extend(self._sse.feed(data))

    def started(self) -> None:
        self.status = self._http.get_status_code()


class _Callbacks:
    """Callbacks for httptools, which decodes the chunked encoding."""

    def __init__(self, stream: RawStream) -> None:
        self._stream = stream

    def on_header(self, name: bytes, value: bytes) -> None:
        self._stream.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._stream.started()

    def on_body(self, data: bytes) -> None:
        self._stream.received(data)

    def on_message_complete(self) -> None:
        self._stream.ended = True
