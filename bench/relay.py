"""A bare relay: what Python needs at least to pass an answer on (`python -m bench.relay PORT ENDPOINT_PORT`).

Sends the body of each POST to the endpoint, and copies the bytes of its response back. Nothing is parsed but the head
of the request.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Upstream(asyncio.Protocol):
    """A client's connection to the endpoint."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client
        self._unsent: list[bytes] = []
        """What the client has sent before the connection was made."""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self.transport.writelines(self._unsent)
        if self._client.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self._unsent.append(data)
        else:
            self.transport.write(data)


class Relay(asyncio.Protocol):
    """The connection of a client."""

    def __init__(self, endpoint: int) -> None:
        self._endpoint = endpoint

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast(asyncio.Transport, transport)
        self._upstream = Upstream(client)
        self._connecting = asyncio.ensure_future(self._connect(client))

    async def _connect(self, client: asyncio.Transport) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._upstream, "127.0.0.1", self._endpoint)
        except OSError:
            client.close()

    def data_received(self, data: bytes) -> None:
        self._upstream.send(data.replace(b"POST /chatkit ", b"POST /v1/responses ", 1))

    def pause_writing(self) -> None:
        if self._upstream.transport is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream.transport is not None:
            self._upstream.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._upstream.transport is not None:
            self._upstream.transport.close()


async def serve(port: int, endpoint: int) -> None:
    """Listen until stopped."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Relay(endpoint), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
