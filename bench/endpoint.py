"""A model endpoint that costs little: stamped tokens at a pace, on a bare socket (`python -m bench.endpoint`).

Each request says in its user message what it wants: "tokens=90 rate=30 wait=2"; `wait` are seconds of silence behind
the first token.
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
WISH = re.compile(rb"(tokens|rate|wait)=([\d.]+)")


class Connection(asyncio.Protocol):
    """One request after another; each is answered with a stream."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if separator and length is not None and len(body) >= int(length[1]):
            self._received = b""
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        wishes = {name.decode(): float(value) for name, value in WISH.findall(body)}
        answer = Answer(Text("", tokens=Stamps(int(wishes.get("tokens", 5)))))
        self._rate, self._wait = wishes.get("rate", 1000.0), wishes.get("wait", 0.0)
        self._sent = 0
        self._start = self._loop.time()
        self._transport.write(HEAD)
        self._go_on(ResponsesWire(answer, json.loads(body)).steps())

    def _go_on(self, steps: Iterator[Step]) -> None:
        """Sends up to and with the next token, and comes back when the one behind it is due."""
        if self._transport.is_closing():
            return
        for event, is_token in steps:
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            if is_token:
                self._sent += 1
                due = self._start + self._sent / self._rate + self._wait
                self._loop.call_at(due, self._go_on, steps)
                return
        self._transport.write(b"0\r\n\r\n")


async def serve() -> None:
    """Listens until it is stopped; the first line of output is the port."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
