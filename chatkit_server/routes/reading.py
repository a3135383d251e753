"""A connection as a reader of a turn: it comes, may be told to read no more, and goes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Message, Receive

from ..plain.sending import EndedTurn
from ..turns.live_turn import LiveTurn, Reader


class Connection:
    """Watches for the client's going, and wakes the reader when it happens."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._is_closed = False  # a reader may be `gone` for a newer one of its frame, too

    @property
    def awaits_end(self) -> bool:
        """Whether the answer shall come to its proper end: the client is there, and does not have to go elsewhere."""
        return not self._is_closed and not self.reader.is_cut

    async def until_closed(self, receive: Receive, turn: LiveTurn) -> None:
        """Notes it when the client goes."""
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()
        self._is_closed = self.reader.gone = True
        turn.log.wake()


@asynccontextmanager
async def reading(
    turn: LiveTurn | EndedTurn, receive: Receive, frame_id: str | None = None
) -> AsyncIterator[Connection]:
    """Inside, the turn has one reader more. `receive` is the ASGI connection's, with nothing left of its body."""
    connection = Connection(Reader(frame_id))
    if isinstance(turn, EndedTurn):
        yield connection
        return
    turn.reader_came(connection.reader)
    watch = asyncio.create_task(connection.until_closed(receive, turn), name="disconnect watch")
    try:
        yield connection
    except asyncio.CancelledError:
        turn.interrupt_reading()
        raise
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        turn.reader_left(connection.reader)
