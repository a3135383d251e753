"""A cheap model endpoint: stamped tokens at a given rate, on a bare socket (`python -m bench.endpoint`).

The user message of a request sets the answer: "tokens=90 rate=30 wait=2". `wait` is a pause after the first token, in
seconds.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

from bench.stamps import Stamps
from tests.support.openai_answers import Answer, Text
from tests.support.openai_wire import ResponsesWire, Step

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OPTION = re.compile(rb"(tokens|rate|wait)=([\d.]+)")


class Connection(asyncio.Protocol):
    """Answers one request after another with a stream."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if separator and length is not None and len(body) >= int(length[1]):
            self._received = b""
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        options = {name.decode(): float(value) for name, value in OPTION.findall(body)}
        answer = Answer(Text("", tokens=Stamps(int(options.get("tokens", 5)))))
        self._rate, self._wait = options.get("rate", 1000.0), options.get("wait", 0.0)
        self._sent = 0
        self._start = self._loop.time()
        self._transport.write(HEAD)
        self._send(ResponsesWire(answer, json.loads(body)).steps())

    def _send(self, steps: Iterator[Step]) -> None:
        """Send everything up to the next token, and call again when the token after it is due."""
        if self._transport.is_closing():
            return
        for event, is_token in steps:
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            if is_token:
                self._sent += 1
                due = self._start + self._sent / self._rate + self._wait
                self._loop.call_at(due, self._send, steps)
                return
        self._transport.write(b"0\r\n\r\n")


async def serve() -> None:
    """Listen until stopped; the first line of output is the port."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
