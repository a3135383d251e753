"""Server-sent events on a raw ASGI connection: a running turn, an ended one, or an error."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from chatkit.types import ThreadStreamEvent
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors.http import ServerError
from ..events.frames import PING, frame, serialize
from ..settings import Settings
from ..turns.live_turn import LiveTurn, Reader
from .reading import reading

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "private, no-store, no-transform",  # no-transform: a compressing proxy would delay tokens
    "x-accel-buffering": "no",  # nginx
}
ERROR_HEADER = "x-chatkit-error"


class TurnResponse(Response):
    """Sends the `first` events, then a turn's frames after number `position`, with pings during pauses.

    It is only a reader of the turn: when the client disconnects, it notifies the turn and ends.
    """

    def __init__(
        self,
        turn: LiveTurn,
        settings: Settings,
        frame_id: str | None = None,
        *,
        first: Sequence[ThreadStreamEvent] = (),
        position: int = 0,
    ) -> None:
        self.turn = turn
        self.frame_id = frame_id
        self.ping_seconds = settings.ping_seconds
        self.first = b"".join(b"data: %b\n\n" % serialize(event) for event in first)
        self.position = position
        self.status_code = 200
        self.body = b""
        self.background = None
        self.init_headers({**SSE_HEADERS, "x-chatkit-turn-id": turn.id})

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers without a content length, which is not known in advance."""
        self.raw_headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with reading(self.turn, receive, self.frame_id) as connection:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_frames(send, connection.reader)
            if connection.awaits_end:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_frames(self, send: Send, reader: Reader) -> None:
        log, position = self.turn.log, self.position
        if self.first:
            await send({"type": "http.response.body", "body": self.first, "more_body": True})
            self.turn.got_first_frame(reader)
        pings = _Pings(self.ping_seconds, log.wake)
        try:
            while not reader.is_gone and not reader.is_cut:
                if position < log.last:
                    if not self.turn.may_send():
                        await self.turn.confirm()
                        continue
                    data = log.since(position)
                    position = log.last
                elif log.closed:
                    return
                elif pings.due():
                    data = PING
                else:
                    await log.changed()
                    continue
                await send({"type": "http.response.body", "body": data, "more_body": True})
                pings.sent()
                if reader.first_frame_at is None:
                    self.turn.got_first_frame(reader)
        finally:
            pings.stop()


class FinishedStream(Response):
    """A stream of a fixed list of events."""

    def __init__(self, events: Sequence[ThreadStreamEvent]) -> None:
        frames = (frame(number, serialize(event)) for number, event in enumerate(events, 1))
        super().__init__(b"".join(frames), headers=SSE_HEADERS)


class ErrorStream(Response):
    """An error as the only frame of a stream: a ChatKit frame shows it without retrying.

    The header names the error's code: a `fetch` of the page (`web/src/session.ts`) can log in again and repeat the
    request before the frame sees anything.
    """

    def __init__(self, error: ServerError, request_id: str) -> None:
        headers = {**SSE_HEADERS, ERROR_HEADER: error.code}
        super().__init__(frame(1, serialize(error.event(request_id))), headers=headers)


class _Pings:
    """Decides when a ping is due, with one timer for the whole stream instead of one per frame."""

    def __init__(self, seconds: float, wake: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._wake = wake
        self._last = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._check)

    def due(self) -> bool:
        return self._loop.time() - self._last >= self._seconds

    def sent(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        if self.due():
            self._wake()
            self._timer = self._loop.call_later(self._seconds, self._check)
        else:
            self._timer = self._loop.call_later(self._last + self._seconds - self._loop.time(), self._check)
