"""Server-sent events on a raw ASGI connection: a running turn, an ended one, or an error."""

from collections.abc import Iterable, Sequence
from functools import partial

from chatkit.types import ThreadStreamEvent
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatkit_store import StoreError

from ..errors.http import ServerError
from ..events.frames import PING, frame, serialize
from ..fast_path.client_writer import ClientWriter, client_writer
from ..files.signed_links import REFERENCE_MARK
from ..turns.live_turn import LiveTurn
from ..turns.subscription import Pace, Writer
from ..turns.turn_log import TurnLog
from .reading import Connection

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "private, no-store, no-transform",  # no-transform: a compressing proxy would delay tokens
    "x-accel-buffering": "no",  # nginx
}
RAW_SSE_HEADERS = [(name.encode(), value.encode()) for name, value in SSE_HEADERS.items()]
TURN_HEADER = b"x-chatkit-turn-id"
PIECE_BYTES = 64 * 1024
"""How much is sent at once, and so how much is unsent at most beyond what a connection buffers."""
ERROR_HEADER = "x-chatkit-error"


class TurnResponse(Response):
    """Sends the `first` events, then a turn's frames after number `position`, with pings during pauses.

    It is only a reader of the turn: when the client disconnects, it notifies the turn and ends. Once the client has
    what there is, the turn's log pushes what is new straight to the connection (`fast_path/client_writer.py`), if
    nothing in between changes the body; this task sleeps until there is something else to do.
    """

    def __init__(
        self,
        turn: LiveTurn,
        pace: Pace,
        frame_id: str | None = None,
        *,
        first: Sequence[ThreadStreamEvent] = (),
        position: int = 0,
    ) -> None:
        self.turn: LiveTurn | None = turn
        self.frame_id = frame_id
        self.pace = pace
        self.first = b"".join(b"data: %b\n\n" % serialize(event) for event in first)
        self.position = position
        self.status_code = 200
        self.body = b""
        self.background = None
        self.raw_headers = [*RAW_SSE_HEADERS, (TURN_HEADER, turn.id.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turn, self.turn = self.turn, None
        if turn is None:
            raise RuntimeError("a response is sent once")
        log, connection = turn.log, Connection(turn, receive, self.frame_id)
        del turn  # see `Reader.turn`
        async with connection:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if connection.reader.turn is not None:
                connection.reader.turn.begin()  # not before the head, which says that the message is saved
            await self._send_frames(send, log, connection, client_writer(scope))
            if connection.awaits_end:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_frames(self, send: Send, log: TurnLog, connection: Connection, writer: ClientWriter | None) -> None:
        reader, data, can_push = connection.reader, self.first, False
        with log.subscribe(self.position, self.pace) as news:
            while not reader.is_gone and not reader.is_cut:
                if not data and news.has_frames() and (reader.turn is None or reader.turn.may_send()):
                    try:
                        data = await news.read()
                    except StoreError:  # a late reader, and a long item
                        reader.is_cut = True
                if data:
                    for piece in _pieces(data):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    news.has_sent()
                    if reader.turn is not None and reader.first_frame_at is None:
                        reader.turn.got_first_frame(reader)
                    can_push = writer is not None and writer.has_sent(piece)
                    data = b""
                    continue
                connection.watch()  # only now: the first frames are on their way
                if news.has_frames():
                    if reader.turn is not None:
                        await reader.turn.confirm()
                elif log.closed:
                    return
                elif news.needs_ping():
                    data = PING
                else:
                    await news.changed(_pusher(writer, reader.turn) if can_push else None)


def _pusher(writer: ClientWriter | None, turn: LiveTurn | None) -> Writer | None:
    """Return what writes frames to the client, and returns False for those that the response's task has to send."""
    return None if writer is None or turn is None else partial(_push, writer, turn)


def _push(writer: ClientWriter, turn: LiveTurn, frames: bytes) -> bool:
    # Not `in`, which first tries the mark as a number, and catches the exception.
    return len(frames) <= PIECE_BYTES and frames.find(REFERENCE_MARK) < 0 and turn.may_send() and writer.write(frames)


def _pieces(data: bytes) -> Iterable[bytes]:
    """Return the pieces in which frames are sent, since the connection takes a piece as a whole, whatever is unread."""
    if len(data) <= PIECE_BYTES or REFERENCE_MARK in data:  # a piece may not end within a reference
        return (data,)
    return (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))


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
