"""A cheap model endpoint: stamped tokens on a bare socket (`python -m bench.endpoint`).

The last options in a request set the answer: "tokens=90 rate=30 wait=2 key=7". `rate` is in tokens per second, 0 for
full speed; `wait` is a pause after the first token, in seconds. `GET /closed` returns, by their `key`, when answers
were closed by the client before their end, in µs.
"""

import asyncio
import gc
import json
import re
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

from bench.stamps import Stamps, now
from tests.support.openai_answers import Answer, Text
from tests.support.openai_wire import ResponsesWire, Step

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OPTION = re.compile(rb"(tokens|rate|wait|key)=([\d.]+)")
BATCH_BYTES = 4096
"""What is written at once at full speed: about a dozen tokens, as of a fast provider."""

closed: dict[int, int] = {}


class Connection(asyncio.Protocol):
    """Answers one request after another."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received: list[bytes] = []
        self._missing = 0
        self._key: int | None = None
        self._steps: Iterator[Step] | None = None
        self._is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._steps is not None and self._key is not None:
            closed[self._key] = now()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._steps is not None and not self._rate:
            self._send()

    def data_received(self, data: bytes) -> None:
        if self._missing <= 0:
            head, _, body = data.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if length is None:
                self._send_json(closed)
                return
            self._missing, data, self._received = int(length[1]), body, []
        self._received.append(data)
        self._missing -= len(data)
        if self._missing <= 0:
            self._answer(b"".join(self._received))

    def _answer(self, body: bytes) -> None:
        options = {name.decode(): float(value) for name, value in OPTION.findall(body)}
        request = json.loads(body)
        if not request.get("stream", "params" in request):  # the relay passes on requests of ChatKit
            self._send_json(ResponsesWire(Answer("A title of five words"), request).body())
            return
        answer = Answer(Text("", tokens=Stamps(int(options.get("tokens", 5)))))
        self._rate, self._wait = options.get("rate", 0.0), options.get("wait", 0.0)
        self._key = int(options["key"]) if "key" in options else None
        self._sent = 0
        self._start = self._loop.time()
        self._transport.write(HEAD)
        self._steps = ResponsesWire(answer, request).steps()
        self._send()

    def _send(self) -> None:
        """Send what is due, and call again when the next token is."""
        if self._steps is None or self._is_full or self._transport.is_closing():
            return
        batch: list[bytes] = []
        size = 0
        for event, is_token in self._steps:
            batch.append(event)
            size += len(event)
            if not is_token:
                continue
            self._sent += 1
            is_first = self._sent == 1 and self._wait
            if self._rate or size >= BATCH_BYTES or is_first:
                self._write(batch)
                if self._rate or is_first:
                    pause = self._sent / self._rate if self._rate else 0.0
                    self._loop.call_at(self._start + self._wait + pause, self._send)
                else:
                    self._loop.call_soon(self._send)  # other answers first
                return
        self._write(batch)
        self._transport.write(b"0\r\n\r\n")
        self._steps = None

    def _write(self, batch: list[bytes]) -> None:
        data = b"".join(batch)
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _send_json(self, value: object) -> None:
        data = json.dumps(value).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data)
        self._transport.write(head + data)


async def serve() -> None:
    """Listen until stopped; the first line of output is the port."""
    gc.disable()  # a collection would delay all answers
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
