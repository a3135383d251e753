"""Register a connection as a reader of a turn, until the client disconnects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.requests import Request
from starlette.types import Message, Receive

from ..loops import background
from ..plain.sending import EndedTurn
from ..turns.live_turn import LiveTurn, Reader
from ..turns.turn_log import TurnLog


class Connection:
    """Watches for the client to disconnect, and then wakes the reader."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._is_closed = False  # a reader is also gone when a newer one of its frame replaces it

    @property
    def awaits_end(self) -> bool:
        """Whether to end the response properly: the client is connected and need not continue at another worker."""
        return not self._is_closed and not self.reader.is_cut

    async def until_closed(self, receive: Receive, log: TurnLog) -> None:
        """Return once the client has disconnected, and mark the reader as gone."""
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()
        self._is_closed = self.reader.is_gone = True
        log.wake()


async def disconnected(request: Request) -> None:
    """Return once the client has disconnected. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def reading(
    turn: LiveTurn | EndedTurn, receive: Receive, frame_id: str | None = None
) -> AsyncIterator[Connection]:
    """Register a reader inside the `async with`. `receive` is the ASGI connection's; its body must have been read."""
    connection = Connection(Reader(frame_id))
    if isinstance(turn, EndedTurn):
        yield connection
        return
    reader, log = connection.reader, turn.log
    reader.turn = turn
    turn.reader_came(reader)
    del turn  # see `Reader.turn`
    try:
        async with background("disconnect watch", partial(connection.until_closed, receive, log)):
            yield connection
    except asyncio.CancelledError:
        if reader.turn is not None:
            reader.turn.connection_was_cut()
        raise
    finally:
        if reader.turn is not None:
            reader.turn.reader_left(reader)
