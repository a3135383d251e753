"""Log a database outage once: its cause at the start, then a reminder per minute, then its end.

Every background loop and every request fails during an outage, and all their tracebacks would be the same.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic

from chatkit_store import StoreUnavailable

from .log_format import redacted_traceback

logger = logging.getLogger(__name__)

REMIND_SECONDS = 60.0
FORGET_SECONDS = 30.0
"""A loop that has not failed for this long has nothing left to do: every loop with work retries more often."""
A_REQUEST = "a request"


class Outage:
    """The outage of one app's database. It ends once every failing loop has succeeded or stopped retrying."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failing: dict[str, float] = {}
        """When each failing loop last failed."""
        self._began = self._last_logged = 0.0

    def failed(self, source: str, error: StoreUnavailable) -> None:
        """Record that `source` could not reach the database. Logs the first failure, and a reminder every minute."""
        if self._record_failure(source):
            logger.error("the database is unreachable: %s failed, retrying\n%s", source, redacted_traceback(error))
        elif self._clock() - self._last_logged >= REMIND_SECONDS:
            self._last_logged = self._clock()
            seconds = self._last_logged - self._began
            logger.warning("the database has been unreachable for %.0f s: %s failed (%s)", seconds, source, error)

    def failed_request(self, error: StoreUnavailable) -> None:
        """Record that a request could not reach the database. Logs each one, because its client has its id."""
        cause = f"\n{redacted_traceback(error)}" if self._record_failure(A_REQUEST) else f" ({error})"
        logger.error("the database is not available%s", cause)

    def worked(self, source: str) -> None:
        """Record that `source` has reached the database."""
        if not self._failing:
            return
        oldest = self._clock() - FORGET_SECONDS
        others = {name: at for name, at in self._failing.items() if name not in (source, A_REQUEST)}
        self._failing = {name: at for name, at in others.items() if at > oldest}
        if not self._failing:
            logger.warning("the database is back after %.0f s", self._clock() - self._began)

    def clear(self) -> None:
        """Clear the outage without logging its end; for a stopping server."""
        self._failing.clear()

    def _record_failure(self, source: str) -> bool:
        """Note the failure; return whether the outage begins with it."""
        begins = not self._failing
        self._failing[source] = self._clock()
        if begins:
            self._began = self._last_logged = self._clock()
        return begins


_outage: ContextVar[Outage] = ContextVar("database_outage", default=Outage())  # noqa: B039 - of commands, which are alone


def begin_outages(outage: Outage) -> None:
    """Let all that the current task does, and the tasks that it creates, note outages here: apps have own databases."""
    _outage.set(outage)


def database_outage() -> Outage:
    """Return the outage of the current task's app."""
    return _outage.get()
