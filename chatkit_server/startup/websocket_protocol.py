"""uvicorn's WebSocket protocol with limits for what a client may make the server hold; uvicorn (0.54) has few.

uvicorn parses all frames that arrive at once, queues them without a limit, keeps the fragments of a message until its
last one, and answers pings whether or not the client reads. Compressed frames may be a thousand times their size.
"""

import asyncio
import logging
from typing import Any, ClassVar, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.server import ServerProtocol

from ..limits.rate import Rate
from .unsent_bytes import UnsentBytes

FRAMES_LOGGER = logging.getLogger("websockets.server")
"""At DEBUG, it gets each header and frame: tokens and messages, which must not be in uvicorn's log."""
SLICE = 4096
"""How many bytes are parsed before frames are counted."""
MESSAGE_BYTES = 1024 * 1024
"""The largest message; the longest text that a message may have needs less, unless it is mostly escaped."""


class WebSocketProtocol(UnsentBytes, WebSocketsSansIOProtocol):
    """Closes connections that exceed a limit, with a reason. It never compresses."""

    frames_at_once: ClassVar[int] = 100
    frames_per_second: ClassVar[float] = 20.0
    """Frames of any kind: messages, fragments and pings."""
    message_seconds: ClassVar[float] = 30.0
    """How long the fragments of a message may take to arrive."""
    max_unfinished: ClassVar[int] = 32 * 1024 * 1024
    """Bytes of unfinished messages of all connections of this process."""
    refused_seconds: ClassVar[float] = 2.0
    _unfinished_bytes: ClassVar[int] = 0

    _message_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = ServerProtocol(extensions=[], max_size=MESSAGE_BYTES, logger=FRAMES_LOGGER)
        self._rate = Rate(self.frames_at_once, self.frames_per_second)
        self._message_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_message()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a slice at a time, and stop at the first limit that is exceeded."""
        for start in range(0, len(data), SLICE):
            if self.disconnected or self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE])
            self._count_unfinished(len(data[start : start + SLICE]))

    def handle_events(self) -> None:
        """Count the frames before any of them is handled."""
        events = self.conn.events
        frames = len(events) if self.handshake_initiated else 0
        if frames and not self._rate.take(frames):
            events.clear()
            self._refuse(CloseCode.POLICY_VIOLATION, "too many frames; please send fewer")
            return
        super().handle_events()

    def keepalive_timeout(self) -> None:
        """Close a connection that does not answer pings; it may not read the reason either."""
        self.stop_keepalive()
        self._refuse(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        self._end_message()
        super().send_receive_event_to_app()

    def _count_unfinished(self, size: int) -> None:
        if not self.frames and not cast(Any, self.conn).reader.buffer:
            self._end_message()
            return
        if self._message_timer is None:
            self._message_timer = self.loop.call_later(self.message_seconds, self._give_up)
        self._message_bytes += size
        WebSocketProtocol._unfinished_bytes += size
        if WebSocketProtocol._unfinished_bytes > self.max_unfinished:
            self._refuse(CloseCode.TRY_AGAIN_LATER, "the server has too much to do")

    def _end_message(self) -> None:
        WebSocketProtocol._unfinished_bytes -= self._message_bytes
        self._message_bytes = 0
        if self._message_timer is not None:
            self._message_timer.cancel()
            self._message_timer = None

    def _give_up(self) -> None:
        if self.read_paused:  # the app is busy: not the client's fault
            self._message_timer = self.loop.call_later(self.message_seconds, self._give_up)
        else:
            self._refuse(CloseCode.POLICY_VIOLATION, "the message did not arrive in time")

    def _refuse(self, code: CloseCode, reason: str) -> None:
        """Send the reason, and discard what the client still sends until it has had time to read it."""
        self._end_message()
        if self.disconnected or self.transport.is_closing():
            return
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.frames = []
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code), "reason": reason})
        self.close_sent = self.disconnected = True
        self.writable.set()
        if self.read_paused:
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.refused_seconds, self.transport.abort)
