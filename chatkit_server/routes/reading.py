"""A connection as a reader of a turn, for answers that are no ChatKit stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from ..live import LiveTurn, Reader
from ..sending import EndedTurn
from .stream import _Connection


@asynccontextmanager
async def reading(turn: LiveTurn | EndedTurn, receive: Receive) -> AsyncIterator[Reader]:
    """Reads the turn inside; `gone` when the client is. At the end the turn has one reader less."""
    reader = Reader(None)
    if isinstance(turn, EndedTurn):
        yield reader
        return
    turn.reader_came(reader)
    connection = _Connection(receive, turn, reader)
    try:
        yield reader
    except asyncio.CancelledError:
        turn.interrupt_reading()
        raise
    finally:
        await connection.close()
        turn.reader_left(reader)
