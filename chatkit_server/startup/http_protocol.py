"""uvicorn's HTTP protocol with limits for clients that do not finish their request; uvicorn (0.54) has none.

A connection that the server waits for (for a head, the rest of a body, or the next request) costs a file descriptor.
There are time limits for each, and beyond `max_waiting` of them the oldest is closed, so that half-sent requests never
keep new clients out.
"""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..settings import Settings
from .open_files import raise_open_files
from .unsent_bytes import UnsentBytes

HEAD_BYTES = 64 * 1024


def limit_connections(settings: Settings) -> None:
    """Apply the settings to all connections of this process."""
    HttpProtocol.body_seconds = settings.body_seconds
    HttpProtocol.max_waiting = raise_open_files() // 2


class HttpProtocol(UnsentBytes, HttpToolsProtocol):
    """Closes connections whose request does not arrive in time, with status 408 if possible."""

    head_seconds: ClassVar[float] = 15.0
    """From the connection, or the first byte of a further request, to the end of the head."""
    body_seconds: ClassVar[float] = 30.0
    """How long a body may take in addition to its size at the lowest rate."""
    body_rate: ClassVar[int] = 8 * 1024
    """The lowest rate of a body, in bytes per second."""
    max_waiting: ClassVar[int] = 10_000
    """How many connections may be without a complete request."""
    _waiting: ClassVar[dict["HttpProtocol", None]] = {}
    """The connections of this process without a complete request, oldest first."""

    last_request_seconds: ClassVar[float] = 0.5
    """How long a connection without a request yet stays open when the server stops: one may be under way, or unread in
    the socket, and closing that would reset the connection under its client."""

    _deadline: asyncio.TimerHandle | None = None
    _is_in_head = True
    _waits_for_body = False
    _is_upgraded = False
    _head_bytes = 0
    _body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. uvicorn (0.54) leaves the timer of an idle one that its client resets."""
        self._stop_waiting()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives. Wait for the rest of a head or a body, of which most requests have none."""
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._is_upgraded:
            return
        if not self._is_in_head:
            if not self._waits_for_body:
                self._waits_for_body = True
                self._start(self.body_seconds, self._check_body, self.loop.time())
        elif self._head_bytes > HEAD_BYTES:
            self._refuse(431)
        elif self._head_bytes and self._deadline is None and not self._is_answering:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Stop waiting for the head."""
        self._is_in_head = self._waits_for_body = False
        self._body_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop waiting: from now on the client waits for the server."""
        self._stop_waiting()
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket's protocol."""
        self._is_upgraded = True
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Count an idle connection as waiting; uvicorn closes it after a few seconds."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.close_in_time()
        elif self.timeout_keep_alive_task is not None:
            self._register()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its client has not read the response."""
        super().timeout_keep_alive_handler()
        if self.transport.is_closing():
            self.close_in_time()

    def shutdown(self) -> None:
        """See uvicorn's protocol: the server stops. It closes an idle connection, or has the response be the last."""
        cycle: Any = self.cycle  # None before the first request
        if cycle is None and not self.transport.is_closing():
            self.loop.call_later(self.last_request_seconds, super().shutdown)
        else:
            super().shutdown()

    def _wait_for_head(self) -> None:
        self._start(self.head_seconds, self._refuse, 408)

    def _start(self, seconds: float, callback: Any, argument: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, callback, argument)
        self._register()

    def _register(self) -> None:
        waiting = HttpProtocol._waiting
        waiting.setdefault(self)
        if len(waiting) > self.max_waiting:
            next(iter(waiting))._drop()

    def _stop_waiting(self) -> None:
        HttpProtocol._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _check_body(self, started: float) -> None:
        """Refuse a body that arrives too slowly; one that the app does not read yet is not its client's fault."""
        due = started + self.body_seconds + self._body_bytes / self.body_rate
        remaining = due - self.loop.time()
        if remaining <= 0 and not self.flow.read_paused:
            self._refuse(408)
        else:
            self._deadline = self.loop.call_later(max(remaining, 1.0), self._check_body, started)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: float) -> None:
        is_free = not self._is_answering if self._is_in_head else not self.cycle.response_started
        if is_free and not self.transport.is_closing():
            self.transport.write(STATUS_LINE[int(status)] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self._drop()

    def _drop(self) -> None:
        self._stop_waiting()
        self.close_in_time()
