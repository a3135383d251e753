"""Write a response's frames straight to the client's transport, from where they are made.

The usual way wakes the response's task for each frame, which awaits `send` through all middlewares. A `ClientWriter`
writes what uvicorn's `send` would write, in the same call chain as the model's token. It exists only on uvicorn's
httptools protocol (`of`), and writes only after a frame of the response has arrived at the connection unchanged.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

try:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
except ImportError:  # another server, or a uvicorn that has moved it
    RequestResponseCycle = None  # type: ignore[assignment,misc]

Message = MutableMapping[str, Any]
SCOPE_KEY = "chatkit_server.client_writer"
"""Where the ASGI scope has the writer of the connection, if there is one."""
ATTRIBUTES = ("scope", "transport", "flow", "disconnected", "response_complete", "chunked_encoding")
"""What is used of uvicorn's private class (0.54)."""


class ClientWriter:
    """The connection of one request: as `send` for the response, and directly for its frames."""

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._flow, self._transport = cycle.flow, cycle.transport
        self._send: Callable[[Message], Awaitable[None]] = cycle.send
        self._last_body: object = None

    @classmethod
    def of(cls, send: object) -> Self | None:
        """Return the writer of the connection that `send` belongs to; None if it is not a connection's own `send`."""
        cycle = getattr(send, "__self__", None)
        if RequestResponseCycle is None or type(cycle) is not RequestResponseCycle:
            return None
        if getattr(send, "__func__", None) is not RequestResponseCycle.send:
            return None
        return cls(cycle) if all(hasattr(cycle, name) for name in ATTRIBUTES) else None

    async def send(self, message: Message) -> None:
        """As uvicorn's `send`, and note the body."""
        self._last_body = message.get("body")
        await self._send(message)

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


def client_writer(scope: MutableMapping[str, Any]) -> ClientWriter | None:
    """Return the writer of a request's connection, if there is one."""
    writer = scope.get(SCOPE_KEY)
    return writer if isinstance(writer, ClientWriter) and scope.get("method") != "HEAD" else None
