"""Read the socket of a model's endpoint below aiohttp's parser, while a run listens.

`FastConnection` is aiohttp's protocol of a connection, with a `FastBody` in front of its parser for the time of one
streamed answer that the sender of the request wants (`want_body`). Requests, heads, TLS, proxies, the reuse and the end
of connections remain aiohttp's.

Builds on private names of aiohttp 3.14: `_factory` and `_create_connection` of its connector, and of `ResponseHandler`
those in `PRIVATE_NAMES`. If one is gone, `use_fast_connections` changes nothing and all answers go the slow path; then
tests/fast_path fail. The openai client's transport is private as well: see `ModelHttpClient`.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .fast_body import FastBody
from .tap import Tap, current_tap

PRIVATE_NAMES = (
    "_pause_reading_for_buffer",
    "_resume_reading_for_buffer",
    "_on_read_timeout",
    "_read_timeout_handle",
    "_loop",
)
MAX_HEAD = 64 * 1024
"""Bytes of a head that is looked at."""
END_OF_HEAD = b"\r\n\r\n"
INTERIM = re.compile(rb"HTTP/1\.\d 1\d\d ")
SUITABLE = re.compile(rb"HTTP/1\.1 200[ \r]")
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
EVENT_STREAM = re.compile(rb"\r\ncontent-type:[ \t]*text/event-stream[ \t]*[;\r]", re.IGNORECASE)
CODED = re.compile(rb"\r\n(?:content-encoding|content-length|upgrade):", re.IGNORECASE)


class WantedBody:
    """A request of a run for the fast path of its response."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.body: FastBody | None = None
        """The body of the response, if it can be fast; the one who asked has to read it."""


_wanted_body: ContextVar[WantedBody | None] = ContextVar("wanted_body", default=None)


@contextmanager
def want_body(*, is_streamed: bool) -> Iterator[WantedBody | None]:
    """Ask for the fast path of the response to the request that the current task sends now.

    Yields None if no run listens, or if the response is not streamed: then nothing is asked for.
    """
    tap = current_tap() if is_streamed else None
    wanted = WantedBody(tap) if tap is not None and tap.takes_text else None
    token = _wanted_body.set(wanted)
    try:
        yield wanted
    finally:
        _wanted_body.reset(token)


class FastConnection(ResponseHandler):
    """aiohttp's protocol of a connection."""

    __slots__ = ("_body", "_head", "_is_held", "_last_read", "_max_tokens", "_wanted")

    def __init__(self, loop: Any, max_tokens: int) -> None:
        super().__init__(loop)
        self._max_tokens = max_tokens
        self._wanted: WantedBody | None = None
        self._head = b""
        """The head of the wanted response so far."""
        self._body: FastBody | None = None
        self._is_held = False
        self._last_read = 0.0

    def set_response_params(self, **params: Any) -> None:
        """See `ResponseHandler`. A request begins."""
        self._body = None
        self._wanted, self._head = _wanted_body.get(), b""
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._body is not None and data:  # aiohttp itself calls this without bytes
            self._last_read = self._loop.time()
            self._body.feed(data)
        elif self._wanted is not None and data:
            self._read_head(self._wanted, data)
        else:
            super().data_received(data)

    def _read_head(self, wanted: WantedBody, data: bytes) -> None:
        """Pass the head of the response on, and open the body behind it if it can be fast."""
        seen = len(self._head)
        self._head += data
        start = 0
        while (end := self._head.find(END_OF_HEAD, start)) >= 0:
            end += len(END_OF_HEAD)
            if not INTERIM.match(self._head, start):
                head, self._wanted = self._head[start:end], None
                if not is_suitable(head):
                    super().data_received(data)
                    return
                content, self._head = self._head[end:], b""
                self._body = wanted.body = FastBody(self, wanted.tap, self._max_tokens)
                self._last_read = self._loop.time()
                super().data_received(data[: end - seen])
                if content:
                    self._body.feed(content)
                return
            start = end
        if len(self._head) > MAX_HEAD:
            self._wanted, self._head = None, b""
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`. What the body still holds is passed on first."""
        if self._body is not None:
            self._body.flush()
        super().connection_lost(exc)

    def _on_read_timeout(self) -> None:
        """Check what was read since the timer was started, which bytes for the body do not restart."""
        silence = self._loop.time() - self._last_read
        body, timeout = self._body, self.read_timeout
        if body is not None and timeout and (body.is_holding or silence < timeout):
            wait = timeout if body.is_holding else timeout - silence
            self._read_timeout_handle = self._loop.call_later(wait, self._on_read_timeout)
        else:
            super()._on_read_timeout()

    # -- what the body uses

    def receive(self, data: bytes) -> None:
        """See `fast_body.Connection`."""
        if self.transport is not None:  # else closed: nobody reads the response any more
            super().data_received(data)

    def hold(self) -> None:
        """See `fast_body.Connection`."""
        if not self._is_held:
            self._is_held = True
            self._pause_reading_for_buffer()

    def release(self) -> None:
        """See `fast_body.Connection`."""
        if self._is_held:
            self._is_held = False
            self._resume_reading_for_buffer()

    def end_body(self) -> None:
        """See `fast_body.Connection`."""
        self._body = None
        self.release()


def use_fast_connections(session: aiohttp.ClientSession, max_tokens: int) -> bool:
    """Let a session's new connections support the fast path; return whether they will.

    `max_tokens` is the most tokens that are merged.
    """
    connector: Any = session.connector
    factory = getattr(connector, "_factory", None)
    if not isinstance(factory, partial) or factory.func is not ResponseHandler or set(factory.keywords) != {"loop"}:
        return False
    if factory.args or not has_private_names(factory()) or not hasattr(connector, "_create_connection"):
        return False
    connector._factory = partial(FastConnection, factory.keywords["loop"], max_tokens)
    _connect_outside_of_turns(connector)
    return True


def _connect_outside_of_turns(connector: Any) -> None:
    """Open connections in a context of their own: they serve many turns, and would keep the one that opened them."""
    connect = connector._create_connection

    async def connect_outside(*args: Any) -> ResponseHandler:
        task = asyncio.create_task(connect(*args), name="model connection", context=Context())
        protocol: ResponseHandler = await task
        return protocol

    connector._create_connection = connect_outside


def has_private_names(protocol: object) -> bool:
    """Return whether aiohttp's protocol is the one that `FastConnection` extends."""
    return all(hasattr(protocol, name) for name in PRIVATE_NAMES)


def is_suitable(head: bytes) -> bool:
    """Return whether the head of a response announces a chunked stream of events that is not compressed."""
    return bool(SUITABLE.match(head) and CHUNKED.search(head) and EVENT_STREAM.search(head) and not CODED.search(head))
