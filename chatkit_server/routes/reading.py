"""Register a connection as a reader of a turn, until the client disconnects."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import Request
from starlette.types import Message, Receive

from ..loops import start_background
from ..plain.sending import EndedTurn
from ..turns.live_turn import LiveTurn, Reader
from ..turns.turn_log import TurnLog


class Connection:
    """A connection that reads a turn inside the `async with`. From `watch` on, the reader notices a disconnect."""

    def __init__(self, turn: LiveTurn | EndedTurn, receive: Receive, frame_id: str | None = None) -> None:
        """`receive` is the ASGI connection's; its body must have been read."""
        self.reader = Reader(frame_id)
        self._receive = receive
        self._log: TurnLog | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_closed = False  # a reader is also gone when a newer one of its frame replaces it
        if not isinstance(turn, EndedTurn):
            self.reader.turn, self._log = turn, turn.log  # see `Reader.turn`

    async def __aenter__(self) -> Self:
        """Register the reader."""
        if self.reader.turn is not None:
            self.reader.turn.reader_came(self.reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the reader."""
        watch, self._watch = self._watch, None  # each refers to the other
        if watch is not None:
            watch.cancel()  # not awaited: it only waits for the client
        if (turn := self.reader.turn) is not None:
            if isinstance(error, asyncio.CancelledError):
                turn.connection_was_cut()
            turn.reader_left(self.reader)

    @property
    def awaits_end(self) -> bool:
        """Whether to end the response properly: the client is connected and need not continue at another worker."""
        return not self._is_closed and not self.reader.is_cut

    def watch(self) -> None:
        """Watch from now on for the client to disconnect, which marks the reader as gone and wakes it.

        A second call does nothing.
        """
        if self._watch is None and self._log is not None:
            self._watch = start_background("disconnect watch", self._until_closed(self._log))

    async def _until_closed(self, log: TurnLog) -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self._is_closed = self.reader.is_gone = True
        log.wake()


async def disconnected(request: Request) -> None:
    """Return once the client has disconnected. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
