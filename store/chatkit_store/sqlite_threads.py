"""A SQLite file served by threads: a store call is one trip to a thread and back, however much it does there.

(The asynchronous driver makes a trip for every statement, every fetch and every BEGIN and COMMIT.)
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
    """One thread that writes and a few that read, with a connection each. Nothing starts before the first call.

    SQLite lets one writer in at a time. Waiting for the one thread is fair and holds no connection; SQLite's own wait
    sleeps and may starve a writer.
    """

    def __init__(self, url: URL, connections: int) -> None:
        readers = max(connections - 1, 1)
        self._engine = open_threaded(url, readers + 1)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(readers, "store-reader")

    def read(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Begin to run `work` on a connection, outside of a transaction."""
        return asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def write(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Begin to run `work` in a transaction, after those begun before."""
        return asyncio.get_running_loop().run_in_executor(self._writer, self._write, work)

    def in_use(self) -> int:
        """How many connections are at work."""
        assert isinstance(self._engine.pool, QueuePool)
        return self._engine.pool.checkedout()

    def close(self) -> None:
        """Wait for what was begun, end the threads and close their connections."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()

    def disown(self) -> None:
        """Close the connections in a forked process, which has them but none of the threads."""
        self._engine.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        with translate_errors(), self._engine.connect() as connection:
            return work(connection)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with translate_errors(), self._engine.begin() as connection:
            return work(connection)
