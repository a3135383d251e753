"""The log of a database that is away: why at first, then one line a minute, and one when it is back.

Everything that works again and again fails then, and each failure's traceback says the same.
"""

import logging
from collections.abc import Callable
from time import monotonic

from chatkit_store import StoreUnavailable

from .log_format import redacted_traceback

logger = logging.getLogger(__name__)

REMIND_SECONDS = 60.0
GONE_SECONDS = 30.0
"""Every loop tries more often, as long as it has something to do."""
A_REQUEST = "a request"


class Outage:
    """One for the process. It is over when each of the loops that failed has worked again, or does not try any more."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failing: dict[str, float] = {}
        """What failed, and when it did last."""
        self._began = self._told = 0.0

    def failed(self, what: str, error: StoreUnavailable) -> None:
        """The loop called `what` found the database away."""
        if self._begins(what):
            logger.error("the database is away: %s failed and is tried again\n%s", what, redacted_traceback(error))
        elif self._clock() - self._told >= REMIND_SECONDS:
            self._told = self._clock()
            seconds = self._told - self._began
            logger.warning("the database has been away for %.0f s: %s failed (%s)", seconds, what, error)

    def failed_request(self, error: StoreUnavailable) -> None:
        """A request found it away: each has its line, because its client was told its id."""
        cause = f"\n{redacted_traceback(error)}" if self._begins(A_REQUEST) else f" ({error})"
        logger.error("the database is not available%s", cause)

    def worked(self, what: str) -> None:
        """The loop called `what` has reached the database."""
        if not self._failing:
            return
        patient = self._clock() - GONE_SECONDS
        others = {other: at for other, at in self._failing.items() if other not in (what, A_REQUEST)}
        self._failing = {other: at for other, at in others.items() if at > patient}
        if not self._failing:
            logger.warning("the database is back after %.0f s", self._clock() - self._began)

    def forget(self) -> None:
        """Nobody tries it any more."""
        self._failing.clear()

    def _begins(self, what: str) -> bool:
        begins = not self._failing
        self._failing[what] = self._clock()
        if begins:
            self._began = self._told = self._clock()
        return begins


database_outage = Outage()
