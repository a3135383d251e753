"""The WebSockets that this process has open, limited per user and in total."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatkit_store import Owner

from ..errors.http import TooManySockets
from ..settings import Settings


class OpenSockets:
    """Counts the sockets of one app."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_user: Counter[Owner] = Counter()
        self._unknown: dict[object, Callable[[], None]] = {}  # longest waiting first

    @contextmanager
    def count(self, owner: Owner) -> Iterator[None]:
        """Count a socket while it is open. Raises `TooManySockets` beyond a limit."""
        if self._by_user[owner] >= self._settings.sockets_per_user:
            raise TooManySockets(f"You have {self._by_user[owner]} open connections. Please close one, and try again.")
        if self._by_user.total() >= self._settings.sockets:
            raise TooManySockets
        self._by_user[owner] += 1
        try:
            yield
        finally:
            self._by_user[owner] -= 1
            self._by_user += Counter()  # forgets users without a socket

    @contextmanager
    def count_unknown(self, give_way: Callable[[], None]) -> Iterator[None]:
        """Count a socket that waits for its login: as many as those of users, of whom they take no place.

        Beyond that, the one that has waited longest must give way: whoever opens many keeps nobody out who logs in.
        """
        if len(self._unknown) >= self._settings.sockets:
            self._unknown.pop(next(iter(self._unknown)))()
        key = object()
        self._unknown[key] = give_way
        try:
            yield
        finally:
            self._unknown.pop(key, None)
