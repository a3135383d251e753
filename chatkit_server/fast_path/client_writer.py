"""Write a response's frames straight to the client's transport, from where they are made.

The usual way wakes the response's task for each frame, which awaits `send` through all middlewares. A `ClientWriter`
writes what uvicorn's `send` would write, in the same call chain as the model's token. It exists only on uvicorn's
httptools protocol (`of`), and writes only after a frame of the response has arrived at the connection unchanged.

It also writes the head of a stream, whose headers uvicorn's `send` checks one by one.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Self

try:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
except ImportError:  # another server, or a uvicorn that has moved it
    RequestResponseCycle = None  # type: ignore[assignment,misc]

Message = MutableMapping[str, Any]
OK = b"HTTP/1.1 200 OK\r\n"
SCOPE_KEY = "chatkit_server.client_writer"
"""Where the ASGI scope has the writer of the connection, if there is one."""
ATTRIBUTES = (
    "access_log",
    "chunked_encoding",
    "default_headers",
    "disconnected",
    "flow",
    "keep_alive",
    "response_complete",
    "response_started",
    "scope",
    "transport",
    "waiting_for_100_continue",
)
"""What is used of uvicorn's private class (0.54)."""
FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding"})
"""Headers with a meaning for the connection: such a head is uvicorn's."""
NO_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"A-Z]')
NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What uvicorn refuses, or changes, in the name or the value of a header."""
KEPT_LINES = 64
"""Nearly all headers are the same in each response."""


def has_attributes(cycle: Any) -> bool:
    """Return whether uvicorn's class of a request and its response sets the attributes that are used."""
    code = getattr(getattr(cycle, "__init__", None), "__code__", None)
    return code is not None and frozenset(ATTRIBUTES).issubset((*code.co_names, *code.co_varnames))


CYCLE = RequestResponseCycle if has_attributes(RequestResponseCycle) else None


class ClientWriter:
    """The connection of one request: as `send` for the response, and directly for its frames."""

    __slots__ = ("_cycle", "_flow", "_last_body", "_send", "_transport")

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._flow, self._transport = cycle.flow, cycle.transport
        self._send: Callable[[Message], Awaitable[None]] = cycle.send
        self._last_body: object = None

    @classmethod
    def of(cls, send: object) -> Self | None:
        """Return the writer of the connection that `send` belongs to; None if it is not a connection's own `send`."""
        cycle = getattr(send, "__self__", None)
        if CYCLE is None or type(cycle) is not CYCLE or getattr(send, "__func__", None) is not CYCLE.send:
            return None
        return cls(cycle)

    async def send(self, message: Message) -> None:
        """As uvicorn's `send`, and note the body."""
        self._last_body = message.get("body")
        if message["type"] != "http.response.start" or not self._start(message):
            await self._send(message)

    def _start(self, message: Message) -> bool:
        """Write the head as uvicorn's `send` does; return False for one that is left to it."""
        cycle = self._cycle
        lines = [_line(name, value) for name, value in (*cycle.default_headers, *message.get("headers", ()))]
        if (
            message["status"] != 200
            or cycle.scope["method"] == "HEAD"
            or cycle.access_log
            or cycle.disconnected
            or cycle.response_started
            or self._flow.write_paused
            or b"" in lines
        ):
            return False
        cycle.response_started = cycle.chunked_encoding = True
        cycle.waiting_for_100_continue = False
        end = b"transfer-encoding: chunked\r\n\r\n"
        self._transport.write(b"".join([OK, *lines, end if cycle.keep_alive else b"connection: close\r\n" + end]))
        return True

    def has_sent(self, body: bytes) -> bool:
        """Return whether this very object was the last body: nothing between the response and here has changed it."""
        return self._last_body is body and self._cycle.chunked_encoding is True

    def write(self, frames: bytes) -> bool:
        """Write the frames now; return False if the client does not keep up or has left: use `send` then."""
        cycle, transport = self._cycle, self._transport
        if self._flow.write_paused or cycle.disconnected or cycle.response_complete or transport.is_closing():
            return False
        transport.write(b"%x\r\n%b\r\n" % (len(frames), frames))
        return True


@lru_cache(KEPT_LINES)
def _line(name: bytes, value: bytes) -> bytes:
    """Return the line of a header; empty for one that is left to uvicorn."""
    if name in FRAMING or NO_NAME.search(name) or NO_VALUE.search(value):
        return b""
    return b"%b: %b\r\n" % (name, value)


def client_writer(scope: MutableMapping[str, Any]) -> ClientWriter | None:
    """Return the writer of a request's connection, if there is one."""
    writer = scope.get(SCOPE_KEY)
    return writer if isinstance(writer, ClientWriter) and scope.get("method") != "HEAD" else None
