"""What this worker remembers of users who have reached a limit: it refuses them without the database, and in no hurry.

Where the database has said when there is room again, nothing can make any until then, so its word holds. About a limit
that an end or a deletion lifts it is asked again, but for somebody who keeps on posting only once in a while.
"""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chatkit_store import LimitReached as StoreLimitReached

from ..context import RequestContext
from ..errors.http import LimitReached
from .user_limits import refusal_of

Subject = tuple[str, ...]

FIRST_DELAY, LONGEST_DELAY = 0.05, 1.0
"""Seconds that the second refusal in a row takes, and at most a later one: each takes twice as long as the last.

A client that posts again as soon as it is refused then costs the others next to nothing.
"""
DELAYED_OF_ONE, DELAYED = 64, 1000
"""How many refusals of one user, and of all, are held back at a time. Others are sent at once."""
PATIENCE, ASKED_AGAIN = 3, timedelta(seconds=1)
"""After that many refusals in a row, the database is asked so often about a limit that no time lifts."""
REMEMBERED = 10_000
FORGET_AFTER = timedelta(minutes=1)
OF_THREADS = frozenset({"items_per_thread", "threads_per_user"})
"""Limits that refuse what is for one thread, or for a new one."""
NEW = ""
"""Stands for the id of a new thread."""


@dataclass
class _Refused:
    reached: StoreLimitReached
    at: datetime
    asked_at: datetime
    refusals: int = 0
    delayed: int = 0


class Refusals:
    """The refusals of the last minute."""

    def __init__(self) -> None:
        self._refused: dict[Subject, _Refused] = {}  # least recently refused first
        self._delayed = 0

    async def check(self, context: RequestContext, thread_id: str | None) -> None:
        """Raise `LimitReached`, perhaps after a delay, if it was reached and that still holds.

        `thread_id` is None for a new thread.
        """
        if not self._refused:
            return
        now = datetime.now(UTC)
        for subject in _subjects(context, thread_id):
            refused = self._refused.get(subject)
            if refused is not None and _holds(refused, now):
                raise await self._refusal(refused)

    async def refusal(self, reached: StoreLimitReached, context: RequestContext, thread_id: str | None) -> LimitReached:
        """Return the error for a limit that the database has found reached, perhaps after a delay."""
        now, subject = datetime.now(UTC), _subject(reached, context, thread_id)
        refused = self._refused.pop(subject, None)
        if refused is None or now - refused.at > FORGET_AFTER:
            refused = _Refused(reached, now, now)
        refused.reached, refused.asked_at = reached, now
        self._refused[subject] = refused
        self._forget_old(now)
        return await self._refusal(refused)

    def check_again(self, context: RequestContext, thread_id: str | None) -> None:
        """Raise the store's `LimitReached` if a limit is reached whose end is known and lies ahead."""
        if not self._refused:
            return
        now = datetime.now(UTC)
        for subject in _subjects(context, thread_id):
            refused = self._refused.get(subject)
            if refused is not None and refused.reached.until is not None and refused.reached.until > now:
                raise StoreLimitReached(refused.reached.kind, refused.reached.limit, refused.reached.until)

    async def _refusal(self, refused: _Refused) -> LimitReached:
        refused.refusals += 1
        refused.at = datetime.now(UTC)
        await self._delay(refused)
        error = refusal_of(refused.reached)
        error.repeats = refused.refusals
        return error

    async def _delay(self, refused: _Refused) -> None:
        if refused.refusals == 1 or refused.delayed >= DELAYED_OF_ONE or self._delayed >= DELAYED:
            return
        longest = min(FIRST_DELAY * 2 ** min(refused.refusals - 2, 10), LONGEST_DELAY)
        refused.delayed += 1
        self._delayed += 1
        try:
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))
        finally:
            refused.delayed -= 1
            self._delayed -= 1

    def _forget_old(self, now: datetime) -> None:
        while self._refused:
            subject, oldest = next(iter(self._refused.items()))
            if len(self._refused) <= REMEMBERED and now - oldest.at <= FORGET_AFTER:
                return
            del self._refused[subject]


def _holds(refused: _Refused, now: datetime) -> bool:
    """Return whether the refusal still holds; if not, the database is asked, by this request alone for a while."""
    if refused.reached.until is not None:
        return refused.reached.until > now
    if refused.refusals > PATIENCE and now - refused.asked_at < ASKED_AGAIN:
        return True
    refused.asked_at = now
    return False


def _subjects(context: RequestContext, thread_id: str | None) -> Iterable[Subject]:
    yield "owner", *context.owner
    yield "thread", *context.owner, thread_id or NEW
    if context.session is not None:
        yield "session", context.session.id
    if context.address_key is not None:
        yield "address", context.address_key


def _subject(reached: StoreLimitReached, context: RequestContext, thread_id: str | None) -> Subject:
    if reached.kind in OF_THREADS:  # the user's other threads still have room
        return "thread", *context.owner, thread_id or NEW
    if reached.kind == "turns_per_minute_of_session" and context.session is not None:
        return "session", context.session.id
    if reached.kind == "turns_per_minute_of_address" and context.address_key is not None:
        return "address", context.address_key
    return "owner", *context.owner
