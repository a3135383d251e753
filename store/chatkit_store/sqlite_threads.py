"""Run store calls on a SQLite file in OS threads, one round trip to a thread per call, and short calls without one.

The asynchronous driver makes a round trip for every statement, fetch, BEGIN and COMMIT.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.pool import QueuePool

from chatkit_store.engine import open_threaded
from chatkit_store.errors import translate_errors
from chatkit_store.loop_connection import LoopConnection, NotRun

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
        self._loop_connection = LoopConnection(url, self._engine)
        self._queued = 0
        self._counting = threading.Lock()
        self._readers = ThreadPoolExecutor(readers, "store-reader")

    def read(self, work: Callable[[Connection], T], seconds: float, *, is_short: bool = False) -> asyncio.Future[T]:
        """Start `work` on a connection, outside of a transaction. It waits at most `seconds` for its turn and locks.

        If it `is_short` and need not wait, it runs at once, as a short write does.
        """
        loop = asyncio.get_running_loop()
        if is_short:
            with suppress(NotRun):
                return _done(loop, self._loop_connection.read(work))
        return loop.run_in_executor(self._readers, self._read, work, time.monotonic() + seconds)

    def write(self, work: Callable[[Connection], T], seconds: float, *, is_short: bool = False) -> asyncio.Future[T]:
        """Start `work` in a transaction, after all writes started before; it waits at most `seconds`, like a read.

        If it `is_short` and need not wait, it runs at once, on this thread: the future is done, or its error raised.
        """
        loop = asyncio.get_running_loop()
        if is_short and not self._queued:
            with suppress(NotRun):
                return _done(loop, self._loop_connection.write(work))
        self._count(1)
        try:
            call = self._writer.submit(self._write, work, time.monotonic() + seconds, is_short)
        except BaseException:
            self._count(-1)
            raise
        call.add_done_callback(self._leave)
        return asyncio.wrap_future(call, loop=loop)

    def in_use(self) -> int:
        """Return how many connections are in use."""
        assert isinstance(self._engine.pool, QueuePool)
        return self._engine.pool.checkedout() + self._loop_connection.in_use

    def close(self) -> None:
        """Wait for started calls, then stop the threads and close their connections."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._loop_connection.close()
        self._engine.dispose()

    def disown(self) -> None:
        """Close the connections in a forked process, which inherits them without the threads."""
        self._loop_connection.disown()
        self._engine.dispose()

    def _read(self, work: Callable[[Connection], T], deadline: float) -> T:
        with translate_errors(), self._engine.connect() as connection:
            _wait_until(connection, deadline)
            return work(connection)

    def _write(self, work: Callable[[Connection], T], deadline: float, is_short: bool) -> T:
        with translate_errors(), self._engine.connect() as connection:
            _wait_until(connection, deadline)
            checkpoint = self._loop_connection.last_checkpoint()
            with connection.begin():
                result = work(connection)
        self._loop_connection.follow(checkpoint, opens=is_short)
        return result

    def _leave(self, _: Future[Any]) -> None:
        """Note that a call has left the queue of writes, also if it was cancelled before its turn."""
        self._count(-1)

    def _count(self, calls: int) -> None:
        with self._counting:
            self._queued += calls


def _done(loop: asyncio.AbstractEventLoop, result: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = loop.create_future()
    future.set_result(result)
    return future


def _wait_until(connection: Connection, deadline: float) -> None:
    """Let the connection wait for locks of other processes until the deadline.

    A call that has spent its time in the queue still tries once. Without this, a lock that is held for long would
    refuse the calls of the queue one after another, each after a full wait of its own.
    """
    seconds = max(deadline - time.monotonic(), 0.0)
    if abs(seconds - connection.info.get("busy seconds", -1.0)) > ACCURACY_SECONDS:
        connection.connection.cursor().execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        connection.info["busy seconds"] = seconds
