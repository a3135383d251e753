"""A connection as a reader of a turn, for answers that are no ChatKit stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from ..sending import EndedTurn
from ..turn import Reader, Turn
from .stream import _Connection


@asynccontextmanager
async def reading(turn: Turn | EndedTurn, receive: Receive) -> AsyncIterator[Reader]:
    """Reads the turn inside; `gone` when the client is. At the end the turn has one reader less."""
    reader = Reader(None)
    if isinstance(turn, EndedTurn):
        yield reader
        return
    turn.reader_came(reader)
    connection = _Connection(receive, turn, reader)
    try:
        yield reader
    except asyncio.CancelledError:  # the HTTP server stops and cuts its connections; the client has not left
        turn.stop("shutdown")
        raise
    finally:
        await connection.close()
        turn.reader_left(reader)
