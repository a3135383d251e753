"""Limits for clients that do not read what they asked for; uvicorn (0.54) has none.

The system takes up to 4 MB for a client that does not read. It is told to take less: what is not sent yet then waits in
the turn's log, where all readers share it, and text that waits becomes one frame.

uvicorn waits before it writes more than 64 KB that a client has not read, but for ever, and a page is written as a
whole. So a connection with unsent bytes has to read at a lowest rate, and the unsent bytes of all connections together
are limited: beyond that, the connections that wait longest are closed.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, ClassVar

logger = logging.getLogger(__name__)

NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class UnsentBytes(asyncio.Protocol):
    """A part of a uvicorn protocol: aborts connections whose client does not read."""

    read_seconds: ClassVar[float] = 30.0
    """How often a client's progress is checked."""
    read_rate: ClassVar[int] = 1024
    """The lowest rate at which a client reads, in bytes per second."""
    max_unsent: ClassVar[int] = 32 * 1024 * 1024
    """Unsent bytes of all clients that do not keep up."""
    _lagging: ClassVar[dict["UnsentBytes", None]] = {}
    """The connections of this process that wait for their client to read, longest first."""

    system_bytes: ClassVar[int] = 128 * 1024
    """Bytes that the system takes beyond those under way to the client."""

    transport: Any
    _progress_check: asyncio.TimerHandle | None = None
    _unsent = 0
    _is_lost = False

    def connection_made(self, transport: Any) -> None:
        """Limit what the system takes, where it can be limited."""
        if NOTSENT_LOWAT is not None and (opened := transport.get_extra_info("socket")) is not None:
            with suppress(OSError):  # a Unix socket
                opened.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, self.system_bytes)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Start to watch the client: it does not read as fast as the server writes."""
        super().pause_writing()
        if self._progress_check is None:
            self._watch()
            UnsentBytes._lagging[self] = None
        self._limit_all()

    def resume_writing(self) -> None:
        """Stop watching: the client has read nearly everything."""
        self._stop_watching()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._is_lost = True
        self._stop_watching()
        super().connection_lost(exc)

    def close_in_time(self) -> None:
        """Close the connection once its client has read what is unsent, or does not read."""
        self.transport.close()
        if self._progress_check is None and not self._is_lost:
            self._watch()

    def _watch(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._progress_check = asyncio.get_running_loop().call_later(self.read_seconds, self._check_progress)

    def _check_progress(self) -> None:
        read = self._unsent - self.transport.get_write_buffer_size()
        if read < self.read_rate * self.read_seconds:
            self._abort("it does not read its response")
        else:
            self._watch()

    def _limit_all(self) -> None:
        """Abort the connections that wait longest; not this one, whose response may be larger than the limit."""
        lagging = UnsentBytes._lagging
        total = sum(connection.transport.get_write_buffer_size() for connection in lagging)
        for connection in list(lagging):
            if total <= self.max_unsent:
                return
            if connection is not self:
                total -= connection.transport.get_write_buffer_size()
                connection._abort("too many bytes are unsent")

    def _abort(self, reason: str) -> None:
        self._stop_watching()
        logger.warning("connection closed: %s (%d bytes)", reason, self.transport.get_write_buffer_size())
        self.transport.abort()

    def _stop_watching(self) -> None:
        UnsentBytes._lagging.pop(self, None)
        if self._progress_check is not None:
            self._progress_check.cancel()
            self._progress_check = None
