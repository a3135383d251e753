"""Who gets the next turn of a worker that runs as many as it may: users in turn, each user's requests in order."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect

from chatkit_store import Owner

from ..errors.http import ServerBusy, ServerStopping

Gone = Callable[[], Awaitable[object]]
"""Returns once the client that waits has disconnected."""


class Slot:
    """The right to run one turn."""

    def __init__(self, queue: "FairQueue", owner: Owner, *, is_counted: bool) -> None:
        self._queue = queue
        self._owner = owner
        self._is_counted = is_counted
        self._is_kept = False

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *error: object) -> None:
        """Release it, unless a turn keeps it."""
        if not self._is_kept:
            self.release()

    def keep(self) -> "Slot":
        """Keep it beyond the block: whoever has it releases it."""
        self.count()
        self._is_kept = True
        return self

    def count(self) -> None:
        """Count one that was only promised: before the replaced turn ends, as that one's slot would go to others."""
        if not self._is_counted:
            self._is_counted = True
            self._queue._count(self._owner)

    def release(self) -> None:
        """Give it to whoever is next; a second call does nothing."""
        if self._is_counted:
            self._is_counted = False
            self._queue._release(self._owner)


class FairQueue:
    """Gives out `slots`, and lets at most `length` requests wait for one, for at most `seconds`; None is forever.

    A free slot goes to the waiting user with the fewest slots, and of those to the one in front;
    who is served goes to the end of the line.
    In a full queue, the user with the most requests loses the last one to a user with fewer.
    """

    def __init__(self, slots: int, length: int, seconds: float | None) -> None:
        self._slots = slots
        self._length = length
        self._seconds = seconds
        self._used: Counter[Owner] = Counter()
        self._total = 0  # of all owners: their sum would take longer, the more of them have a slot
        self._waiting: dict[Owner, deque[asyncio.Future[Slot]]] = {}  # in the order in which users are served
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def is_full(self) -> bool:
        """Whether the next request has to wait."""
        return self._total >= self._slots

    def promise(self, owner: Owner) -> Slot:
        """Return a slot at once, for a turn that replaces one; `Slot.count` counts it, beyond the limit, too.

        Not at once: many such requests may wait for the same thread, where only one of them runs.
        """
        return Slot(self, owner, is_counted=False)

    async def enter(self, owner: Owner, gone: Gone | None = None) -> Slot:
        """Wait for a slot.

        Raises `ServerBusy` if the queue is full or the time is up, `ServerStopping` once it is closed, and
        `ClientDisconnect` as soon as `gone` returns.
        """
        if self._is_closed:
            raise ServerStopping
        if not self.is_full:
            return self._count(owner)
        place = self._line_up(owner)
        watch = asyncio.ensure_future(_until(gone))
        watch.add_done_callback(_ignore_error)
        try:
            either: list[asyncio.Future[Any]] = [place, watch]
            await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if place.done():
                return place.result()
            raise ClientDisconnect if watch.done() else ServerBusy(has_waited=True)
        except asyncio.CancelledError:
            if place.done() and place.exception() is None:
                place.result().release()
            raise
        finally:
            if not place.done():
                self._leave(owner, place)
            watch.cancel()  # not awaited: a cancellation during the wait would lose the slot

    def close(self) -> None:
        """Refuse the waiting requests, and all that come."""
        self._is_closed = True
        for places in self._waiting.values():
            for place in places:
                place.set_exception(ServerStopping())
        self._waiting.clear()

    def _line_up(self, owner: Owner) -> "asyncio.Future[Slot]":
        if self.waiting >= self._length:
            greediest = max(self._waiting, key=lambda other: len(self._waiting[other]), default=owner)
            if len(self._waiting.get(greediest, ())) <= len(self._waiting.get(owner, ())) + 1:
                raise ServerBusy
            self._waiting[greediest].pop().set_exception(ServerBusy())
        place: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(place)
        return place

    def _leave(self, owner: Owner, place: "asyncio.Future[Slot]") -> None:
        self._waiting[owner].remove(place)
        if not self._waiting[owner]:
            del self._waiting[owner]

    def _next_of(self, owner: Owner) -> "asyncio.Future[Slot]":
        places = self._waiting.pop(owner)
        place = places.popleft()
        if places:
            self._waiting[owner] = places  # behind all others
        return place

    def _count(self, owner: Owner) -> Slot:
        self._used[owner] += 1
        self._total += 1
        return Slot(self, owner, is_counted=True)

    def _release(self, owner: Owner) -> None:
        self._used[owner] -= 1
        self._total -= 1
        if not self._used[owner]:
            del self._used[owner]
        while self._waiting and not self.is_full:
            next_owner = min(self._waiting, key=lambda waiting: self._used[waiting])  # the first of equals
            self._next_of(next_owner).set_result(self._count(next_owner))


async def _until(gone: Gone | None) -> None:
    if gone is None:
        await asyncio.get_running_loop().create_future()
    else:
        await gone()


def _ignore_error(watch: asyncio.Future[None]) -> None:
    """Mark an exception as retrieved: a connection that cannot be watched is as good as gone."""
    if not watch.cancelled():
        watch.exception()
