"""A queue for one reader, small enough for one per answer: an `asyncio.Queue` takes 3 KiB and five times the CPU."""

import asyncio
from typing import Any


class Inbox:
    """Entries in the order in which they were put. Only one task may wait for the next."""

    __slots__ = ("_outgoing", "_waiter", "incoming")

    def __init__(self) -> None:
        self.incoming: list[Any] = []
        """Entries that were put since the reader looked last: all that there are while it waits in `get`."""
        self._outgoing: list[Any] = []
        """Entries that are read next, in reverse order."""
        self._waiter: asyncio.Future[None] | None = None

    def qsize(self) -> int:
        """Return how many entries wait."""
        return len(self.incoming) + len(self._outgoing)

    def empty(self) -> bool:
        """Return whether no entry waits."""
        return not self.incoming and not self._outgoing

    @property
    def first(self) -> Any:
        """The entry that is read next; None if no entry waits."""
        return self._outgoing[-1] if self._outgoing else self.incoming[0] if self.incoming else None

    def put_nowait(self, entry: Any) -> None:
        """Add an entry."""
        self.incoming.append(entry)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def get_nowait(self) -> Any:
        """Remove and return the first entry. Raises `asyncio.QueueEmpty`."""
        if not self._outgoing:
            self.incoming, self._outgoing = self._outgoing, self.incoming[::-1]
        if not self._outgoing:
            raise asyncio.QueueEmpty
        return self._outgoing.pop()

    async def get(self) -> Any:
        """Remove and return the first entry, which may have to arrive first. Raises `RuntimeError` if another task
        waits."""
        while self.empty():
            if self._waiter is not None:
                raise RuntimeError("an inbox has only one reader")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.get_nowait()


class LateQueue(asyncio.Queue[Any]):
    """An `asyncio.Queue` that is set up when it is first used, because nearly none is."""

    def __init__(self) -> None:
        """Leave the set-up to `__getattr__`."""

    def __getattr__(self, name: str) -> Any:
        """Set up the queue, whose attributes do not exist yet. Raises `AttributeError` for other names."""
        if "_queue" in vars(self) or name.startswith("__"):
            raise AttributeError(name)
        super().__init__()
        return getattr(self, name)
