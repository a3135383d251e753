"""A cheap client: it records what arrives and when, and looks into it after the measurement."""

import asyncio
import json
import re
import socket
from dataclasses import dataclass, field
from typing import Any, Self, cast
from uuid import uuid4

from bench.stamps import Pieces, arrivals, now, text_of
from tests.support.chatkit import user_input

PATIENCE = 150.0
"""Seconds after which an answer that does not end is given up."""
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
COOKIE = re.compile(rb"(?i)\nset-cookie: *([^;\r]+)")
END = b"0\r\n\r\n"


class TooSlow(Exception):
    """This machine is too slow, or too busy, for a measurement."""


class WrongAnswer(Exception):
    """A server's answer is not the text that the model sent."""


@dataclass
class Reply:
    """A response, as far as it has arrived."""

    sent: int
    """When the request was sent, in µs."""
    pieces: Pieces = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.pieces)

    @property
    def first_byte_ms(self) -> float:
        return (self.pieces[0][0] - self.sent) / 1000

    @property
    def first_token_ms(self) -> float:
        return (self.arrivals()[0][1] - self.sent) / 1000

    def arrivals(self, after: int = 0) -> list[tuple[int, int]]:
        """Return when each token was sent by the model and when it arrived, in µs; see `stamps.arrivals`."""
        return arrivals(self.pieces, after)

    def header(self, name: str) -> str:
        """Return a header. Raises `WrongAnswer` if there is none."""
        match = re.search(rb"(?im)^" + name.encode() + rb": *([^\r\n]+)", self.data.partition(b"\r\n\r\n")[0])
        if match is None:
            raise WrongAnswer(f"the response has no {name}: {self.data[:200]!r}")
        return match[1].decode()

    def json(self) -> Any:
        return json.loads(self.data.partition(b"\r\n\r\n")[2])

    async def first_token(self) -> None:
        """Wait for the first token. Raises `TooSlow` if it takes longer than `PATIENCE`."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not self.arrivals() and not self.ended.is_set():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise TooSlow(f"no token came within {PATIENCE:.0f} s") from None

    async def complete(self, tokens: int | None = None, patience: float = PATIENCE) -> Self:
        """Wait for its end and check it.

        Raises `WrongAnswer` unless it is the text of so many tokens, `TooSlow` if it takes longer than `patience`
        seconds.
        """
        try:
            async with asyncio.timeout(patience):
                await self.ended.wait()
        except TimeoutError:
            raise TooSlow(f"an answer did not end within {patience:.0f} s") from None
        if tokens is not None:
            self.check(tokens)
        return self

    def check(self, tokens: int) -> None:
        """Raise `WrongAnswer` unless what it shows and its finished item are the text of so many tokens."""
        stamps = [sent for sent, _ in self.arrivals()]
        shown, finished = _texts(events(self.data))
        if not (len(stamps) == tokens and shown == finished == text_of(stamps)):
            lengths = f"{len(shown)} characters shown, {len(finished)} in the item, {len(stamps)} tokens"
            raise WrongAnswer(f"expected {tokens} tokens, got {lengths}: {self.data[-500:]!r}")


def events(data: bytes) -> list[Any]:
    """Return the events of a response in chunks."""
    body, rest = [], data.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body.append(rest[:length])
        rest = rest[length + 2 :]
    lines = b"".join(body).split(b"\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]


def _texts(sent: list[Any]) -> tuple[str, str]:
    """Return the text that a client shows at the end, and that of the finished item.

    Of ChatKit's events, where an item may come again with all of its text so far, or of the endpoint's own.
    """
    shown: list[str] = []
    finished = ""
    for event in sent:
        match event:
            case {"type": "response.output_text.delta", "delta": delta}:
                shown.append(delta)
            case {"type": "response.output_item.done", "item": {"content": [{"text": finished}]}}:
                pass
            case {"type": "thread.item.updated", "update": {"delta": delta}}:
                shown.append(delta)
            case {
                "type": "thread.item.added" | "thread.item.replaced",
                "item": {"type": "assistant_message", "content": content},
            }:
                shown = [part["text"] for part in content]
            case {"type": "thread.item.done", "item": {"type": "assistant_message", "content": [{"text": finished}]}}:
                pass
    return "".join(shown), finished


class Client(asyncio.Protocol):
    """A user of one server, with one connection for one request after another."""

    def __init__(self, port: int, user: str | None = None, *, receive_buffer: int | None = None) -> None:
        """`receive_buffer` are the bytes that the system receives for a client that does not read."""
        self._port = port
        self._receive_buffer = receive_buffer
        self._host = f"host: 127.0.0.1:{port}"
        self._login = f"x-forwarded-user: {user}" if user else ""
        self.cookie = ""
        """What tells the server that it is the same user as before."""
        self._transport: asyncio.Transport | None = None
        self._reply: Reply | None = None
        self._left = -1
        """Bytes of the body still to come, or -1 if it comes in chunks."""

    async def request(self, method: str, path: str, body: Any = None) -> Reply:
        """Send a request; the response arrives in the background."""
        if self._transport is None or self._transport.is_closing():
            await asyncio.get_running_loop().create_connection(lambda: self, sock=await self._socket())
        assert self._transport is not None
        data = b"" if body is None else json.dumps(body).encode()
        # A new frame each time: the same bytes from the same frame would count as a repeated request.
        head = [f"{method} {path} HTTP/1.1", self._host, "accept: text/event-stream"]
        head += [f"chatkit-frame-instance-id: {uuid4()}", "content-type: application/json"]
        head += [f"content-length: {len(data)}"] if method == "POST" else []
        head += [f"cookie: {self.cookie}"] if self.cookie else []
        head += [self._login] if self._login else []
        self._reply = Reply(now())
        self._transport.write("\r\n".join([*head, "", ""]).encode() + data)
        return self._reply

    async def _socket(self) -> socket.socket:
        opened = socket.socket()
        opened.setblocking(False)
        if self._receive_buffer is not None:  # before it connects, else the window is larger already
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", self._port))
        return opened

    async def ask(self, thread: str | None = None, padding: str = "", **options: float) -> Reply:
        """Write a message, in a new thread or `thread`; `options` say how the endpoint answers."""
        text = padding + " ".join(f"{name}={value:g}" for name, value in options.items())
        params = {"input": user_input(text)} | ({"thread_id": thread} if thread else {})
        kind = "threads.add_user_message" if thread else "threads.create"
        return await self.request("POST", "/chatkit", {"type": kind, "params": params})

    async def turn(self, tokens: int, rate: float = 0.0, thread: str | None = None) -> Reply:
        """Run a whole turn and check it."""
        return await (await self.ask(thread, tokens=tokens, rate=rate)).complete(tokens)

    async def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return (await (await self.request("GET", path)).complete()).json()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or reply.ended.is_set():
            return
        reply.pieces.append((now(), data))
        reply.changed.set()
        if not reply.began.is_set():
            head = data.partition(b"\r\n\r\n")[0]
            if cookie := COOKIE.search(head):
                self.cookie = cookie[1].decode()
            length = LENGTH.search(head)
            self._left = -1 if length is None else int(length[1]) + data.index(b"\r\n\r\n") + 4
            reply.began.set()
        if self._left >= 0:
            self._left -= len(data)
        if self._left == 0 or (self._left < 0 and data.endswith(END)):
            reply.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply is not None:
            self._reply.began.set()
            self._reply.ended.set()
            self._reply.changed.set()

    @property
    def reply(self) -> Reply:
        """The response to the last request."""
        assert self._reply is not None
        return self._reply

    def forget(self) -> None:
        """Forget what has arrived of the response."""
        self.reply.pieces.clear()

    def stop_reading(self) -> None:
        """Leave everything unread from now on."""
        assert self._transport is not None
        self._transport.pause_reading()

    def close(self) -> None:
        """Close the connection, at once."""
        if self._transport is not None:
            self._transport.abort()
