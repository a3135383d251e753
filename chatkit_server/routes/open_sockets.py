"""The WebSockets that this process has open, limited per user and in total."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors.http import TooManySockets
from ..settings import Settings


class OpenSockets:
    """Counts sockets."""

    def __init__(self) -> None:
        self._by_user: Counter[str] = Counter()

    @contextmanager
    def count(self, user_id: str, settings: Settings) -> Iterator[None]:
        """Count a socket while it is open. Raises `TooManySockets` beyond a limit."""
        if self._by_user[user_id] >= settings.sockets_per_user:
            raise TooManySockets(
                f"You have {self._by_user[user_id]} open connections. Please close one, and try again."
            )
        if self._by_user.total() >= settings.sockets:
            raise TooManySockets
        self._by_user[user_id] += 1
        try:
            yield
        finally:
            self._by_user[user_id] -= 1
            self._by_user += Counter()  # forgets users without a socket
