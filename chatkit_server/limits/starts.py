"""How many turns are set up at once: few, so that each soon has its first token, and running ones wait for none.

A turn is set up in pieces of a millisecond or two: check, save, load the thread, prepare the run, send the request. Of
400 that arrive together, each would do its first piece, then each its second: all would have their first token at the
end, and every answer that runs would wait in between for 400 pieces. So a turn holds a place until its request to the
model leaves. One that waits for something else, such as the author's code, keeps nobody waiting: while the event loop
has time, it loses its place.
"""

import asyncio
import sys
from time import monotonic

from chatkit_store import Owner

from .fair_queue import FairQueue, Slot

PLACES = 4
"""Enough to use the time that one of them spends in the database."""
TICK_SECONDS = 0.02
"""Pause between two looks at the turns that hold a place, while others wait."""
LATE_SECONDS = 0.005
"""An event loop that comes later than this to its next look has no time."""
LONGEST_SECONDS = 1.0
"""How long a turn holds its place at most, however busy the event loop is."""


class Place:
    """The right to set up one turn: the turn's once it was handed over, else only inside the `with`."""

    def __init__(self, slot: Slot, held: "dict[Place, float]") -> None:
        self._slot = slot
        self._held = held
        self._is_handed_over = False

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *error: object) -> None:
        if not self._is_handed_over:
            self.release()

    def hand_over(self) -> "Place":
        """Keep it beyond the block, unless it is lost already."""
        self._is_handed_over = True
        return self

    def release(self) -> None:
        """Give it to whoever is next; a second call does nothing."""
        self._held.pop(self, None)
        self._slot.release()


class Starts:
    """Gives places to turns that are set up, to users in turn."""

    def __init__(self, places: int = PLACES) -> None:
        self._queue = FairQueue(places, sys.maxsize, None)
        self._held: dict[Place, float] = {}
        """The places, with the times at which they were given, oldest first."""
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, owner: Owner) -> Place:
        """Wait for a place. Enter it, and hand it over to the turn, which releases it when its first request leaves.

        It ends soon, so it continues if the client leaves: the message is saved, as without a wait. Raises
        `ServerStopping` once `close` was called.
        """
        if self._timer is None and self._queue.is_full:
            self._watch()
        place = Place(await self._queue.enter(owner), self._held)
        self._held[place] = monotonic()
        return place

    def close(self) -> None:
        """Refuse those that wait, and all that come."""
        self._queue.close()

    def _watch(self) -> None:
        loop, due = asyncio.get_running_loop(), monotonic() + TICK_SECONDS
        self._timer = loop.call_later(TICK_SECONDS, self._look, due)

    def _look(self, due: float) -> None:
        now, self._timer = monotonic(), None
        longest = TICK_SECONDS if now - due < LATE_SECONDS else LONGEST_SECONDS
        for place in [place for place, since in self._held.items() if now - since >= longest]:
            place.release()
        if self._queue.waiting:
            self._watch()
