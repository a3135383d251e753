"""Run store calls on a SQLite file in OS threads, one round trip to a thread per call.

The asynchronous driver makes a round trip for every statement, fetch, BEGIN and COMMIT.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.pool import QueuePool

from chatkit_store.engine import open_threaded
from chatkit_store.errors import translate_errors

T = TypeVar("T")


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

    def read(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Start `work` on a connection, outside of a transaction."""
        return asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def write(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Start `work` in a transaction, after all writes started before."""
        return asyncio.get_running_loop().run_in_executor(self._writer, self._write, work)

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

    def _read(self, work: Callable[[Connection], T]) -> T:
        with translate_errors(), self._engine.connect() as connection:
            return work(connection)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with translate_errors(), self._engine.begin() as connection:
            return work(connection)
