"""Run store calls on a SQLite file in OS threads, one round trip to a thread per call.

The asynchronous driver makes a round trip for every statement, fetch, BEGIN and COMMIT.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.pool import QueuePool

from chatkit_store.engine import open_threaded
from chatkit_store.errors import translate_errors

T = TypeVar("T")

ACCURACY_SECONDS = 0.1  # of the limit, to save a statement per call


class SqliteThreads:
    """One OS thread that writes and several that read, with a connection each, which start with the first call.

    SQLite allows one writer at a time. Queueing for one thread is fair and holds no connection; SQLite's own wait polls
    and may starve a writer.
    """

    def __init__(self, url: URL, connections: int) -> None:
        readers = max(connections - 1, 1)
        self._engine = open_threaded(url, readers + 1)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(readers, "store-reader")

    def read(self, work: Callable[[Connection], T], seconds: float) -> asyncio.Future[T]:
        """Start `work` on a connection, outside of a transaction. It waits at most `seconds` for its turn and locks."""
        deadline = time.monotonic() + seconds
        return asyncio.get_running_loop().run_in_executor(self._readers, self._read, work, deadline)

    def write(self, work: Callable[[Connection], T], seconds: float) -> asyncio.Future[T]:
        """Start `work` in a transaction, after all writes started before; it waits at most `seconds`, like a read."""
        deadline = time.monotonic() + seconds
        return asyncio.get_running_loop().run_in_executor(self._writer, self._write, work, deadline)

    def in_use(self) -> int:
        """Return how many connections are in use."""
        assert isinstance(self._engine.pool, QueuePool)
        return self._engine.pool.checkedout()

    def close(self) -> None:
        """Wait for started calls, then stop the threads and close their connections."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()

    def disown(self) -> None:
        """Close the connections in a forked process, which inherits them without the threads."""
        self._engine.dispose()

    def _read(self, work: Callable[[Connection], T], deadline: float) -> T:
        with translate_errors(), self._engine.connect() as connection:
            _wait_until(connection, deadline)
            return work(connection)

    def _write(self, work: Callable[[Connection], T], deadline: float) -> T:
        with translate_errors(), self._engine.connect() as connection:
            _wait_until(connection, deadline)
            with connection.begin():
                return work(connection)


def _wait_until(connection: Connection, deadline: float) -> None:
    """Let the connection wait for locks of other processes until the deadline.

    A call that has spent its time in the queue still tries once. Without this, a lock that is held for long would
    refuse the calls of the queue one after another, each after a full wait of its own.
    """
    seconds = max(deadline - time.monotonic(), 0.0)
    if abs(seconds - connection.info.get("busy seconds", -1.0)) > ACCURACY_SECONDS:
        connection.connection.cursor().execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        connection.info["busy seconds"] = seconds
