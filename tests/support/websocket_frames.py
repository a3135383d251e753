"""A WebSocket client that can send what no library lets it send."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


def websocket_frame(opcode: int, payload: bytes = b"", *, is_last: bool = True, is_compressed: bool = False) -> bytes:
    """Return a client's frame, with a mask of zeros."""
    first = opcode | (0x80 if is_last else 0) | (0x40 if is_compressed else 0)
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        length = b"\xfe" + len(payload).to_bytes(2)
    else:
        length = b"\xff" + len(payload).to_bytes(8)
    return bytes([first]) + length + b"\0\0\0\0" + payload


class _PatientReader(asyncio.StreamReader):
    """Gives out what arrived before a reset, such as the close frame of a server that had not read everything."""

    def set_exception(self, exc: type[BaseException] | BaseException) -> None:
        """Take a reset for the end of the stream."""
        self.feed_eof()


class RawSocket:
    """A connection to `/api/stream/ws` that reads only in `closed`."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self.response = b""

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["RawSocket"]:
        """Connect, and close the connection at the end."""
        client = await cls(url).connect()
        try:
            yield client
        finally:
            client.close()

    async def connect(self) -> "RawSocket":
        """Connect, offering compression as browsers do."""
        loop = asyncio.get_running_loop()
        self._reader = _PatientReader(limit=2**16, loop=loop)
        protocol = asyncio.StreamReaderProtocol(self._reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, self._host, self._port)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)
        head = (
            f"GET /api/stream/ws HTTP/1.1\r\nhost: {self._host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {base64.b64encode(b'0' * 16).decode()}\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-extensions: permessage-deflate\r\n\r\n"
        )
        self._writer.write(head.encode())
        self.response = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 20)
        return self

    async def send(self, data: bytes) -> None:
        """Send bytes as far as the server accepts them."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._writer.write(data)
            await asyncio.wait_for(self._writer.drain(), 10)

    async def closed(self, within: float = 20) -> tuple[int, str]:
        """Read until the close frame, and return its code and reason. Raises `TimeoutError`."""
        async with asyncio.timeout(within):
            while True:
                opcode, length = await self._reader.readexactly(2)
                if length > 125:
                    length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8))
                payload = await self._reader.readexactly(length)
                if opcode & 15 == CLOSE:
                    return int.from_bytes(payload[:2]), payload[2:].decode()

    def close(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()
