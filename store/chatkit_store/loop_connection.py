"""Run short writes to a SQLite file, and short reads, on the thread that asks for them, usually that of an event loop.

A trip to another thread takes longer than such a call does. It is made all the same wherever the call could stall the
loop; see `LoopConnection.write`.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine, exc
from sqlalchemy.pool import PoolProxiedConnection

from chatkit_store.driver_connection import DriverConnection
from chatkit_store.engine import open_threaded
from chatkit_store.errors import StoreError
from chatkit_store.prepared import is_watched

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # not on Linux

    def _waits() -> float:
        return time.monotonic()

else:

    def _waits() -> float:
        """Return how often this thread has waited for a disk or another thread. To be preempted is not to wait."""
        return getrusage(RUSAGE_THREAD).ru_nvcsw


T = TypeVar("T")

SHORT_TEXT = 32_768
"""The most characters of a short write. They are written twice, as text and payload: some 20 pages of 4 KiB, which take
as long as the rest of the write."""
SLOW_SECONDS = 0.005
"""A write that waited and took longer met a slow disk, or pages that are not in memory."""
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""For how many seconds writes are left to the thread after a slow one. The pause doubles while they stay slow."""
COMMITS = 50
"""After so many, the writer's thread has to commit once, and to copy the write-ahead log if it is long.

Such a write changes up to 40 pages, and SQLite copies the log when it has 1,000.
"""
READS = 50
"""After so many, a thread reads once: a coroutine that reads in a loop gives way to others."""
PRAGMAS = ("PRAGMA busy_timeout = 0", "PRAGMA wal_autocheckpoint = 0")


class NotRun(Exception):
    """Nothing was written, or read: another thread has to do it, which may wait."""


def is_short(*texts: str | None) -> bool:
    """Return whether a write of a few rows with these texts is short."""
    return sum(len(text) for text in texts if text is not None) <= SHORT_TEXT


class LoopConnection:
    """A connection of its own, for whichever thread asks first. It waits neither for a lock nor, mostly, for a disk."""

    def __init__(self, url: URL, watched: Engine) -> None:
        """`watched` is the engine of the writer's thread."""
        self._url = url
        self._watched = watched
        self._own: PoolProxiedConnection | None = None
        self._driver: sqlite3.Connection | None = None
        self._path = ""
        self._turn = threading.Lock()
        self._checkpoint: int | None = None
        self._commits = 0
        self._reads = 0
        self._pause = 0.0
        self._paused_until = 0.0

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, on this thread. Raises `NotRun` if it could wait, or fails.

        It could wait, or cost more than the trip,
        - while another thread is writing here, or another process elsewhere;
        - for the first commit after a checkpoint, for which SQLite syncs the log;
        - if one of the last writes was slow.

        Neither does it run where a tool listens to SQLAlchemy, which it would not see. The errors of `work` are
        raised; the database's are left to the writer's thread.
        """
        if self._commits >= COMMITS:
            raise NotRun
        return self._call(self._write, work, commits=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which changes nothing, on this thread; each statement sees what is committed by then.

        Raises `NotRun` as `write` does. A checkpoint, or a write elsewhere, makes no reader wait.
        """
        if self._reads >= READS:
            self._reads = 0
            raise NotRun
        self._reads += 1
        return self._call(self._read, work, commits=False)

    def last_checkpoint(self) -> int | None:
        """Return when a checkpoint last copied the log into the file, in nanoseconds; None if that cannot be said.

        Nothing else writes to the file itself, in whatever process.
        """
        try:
            return os.stat(self._path).st_mtime_ns
        except OSError:
            return None

    def follow(self, checkpoint: int | None, *, opens: bool) -> None:
        """Note that the writer's thread has committed, and what the last checkpoint was before it did.

        To be called in that thread, which also opens the connection here if it `opens` one: that takes long.
        """
        with self._turn:
            self._checkpoint, self._commits = checkpoint, 0
            if opens and self._driver is None:
                self._open()

    def close(self) -> None:
        """Close the connection, once it is not in use."""
        with self._turn:
            self._close()

    def disown(self) -> None:
        """Close the connection in a forked process, if no thread was using it."""
        if self._turn.acquire(blocking=False):
            self._close()

    @property
    def in_use(self) -> bool:
        """Whether a thread uses it."""
        return self._turn.locked()

    def _open(self) -> None:
        try:
            self._own = open_threaded(self._url, 1).raw_connection()
            driver = cast(sqlite3.Connection, self._own.driver_connection)
            driver.isolation_level = None
            for pragma in PRAGMAS:
                driver.execute(pragma)
            _, _, self._path = driver.execute("PRAGMA database_list").fetchone()
            driver.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # reads the schema
        except (exc.DBAPIError, sqlite3.Error):  # the next commit tries again
            self._close()
        else:
            self._driver, self._checkpoint = driver, self.last_checkpoint()

    def _close(self) -> None:
        self._driver = None
        if self._own is not None:
            self._own.invalidate()
            self._own = None

    def _call(
        self,
        run: Callable[[sqlite3.Connection, Callable[[Connection], T]], T],
        work: Callable[[Connection], T],
        *,
        commits: bool,
    ) -> T:
        if time.monotonic() < self._paused_until or is_watched(self._watched):
            raise NotRun
        if not self._turn.acquire(blocking=False):
            raise NotRun
        try:
            if self._driver is None or (commits and self._checkpoint != self.last_checkpoint()):
                raise NotRun
            start, waits = time.monotonic(), _waits()
            try:
                return run(self._driver, work)
            finally:
                self._note_time(time.monotonic() - start, waits)
        finally:
            self._turn.release()

    def _read(self, driver: sqlite3.Connection, work: Callable[[Connection], T]) -> T:
        try:
            return work(cast(Connection, DriverConnection(driver)))
        except StoreError:
            raise
        except Exception as error:  # a reader's thread finds out what it means
            raise NotRun from error

    def _write(self, driver: sqlite3.Connection, work: Callable[[Connection], T]) -> T:
        is_done = False
        try:
            driver.execute("BEGIN IMMEDIATE")
            result = work(cast(Connection, DriverConnection(driver)))
            driver.execute("COMMIT")
            is_done = True
        except StoreError:
            raise
        except Exception as error:  # the writer's thread finds out what it means
            raise NotRun from error
        finally:
            if not is_done:
                self._roll_back(driver)
        self._commits += 1
        return result

    def _roll_back(self, driver: sqlite3.Connection) -> None:
        try:
            if driver.in_transaction:
                driver.execute("ROLLBACK")
        except sqlite3.Error:
            self._close()

    def _note_time(self, seconds: float, waits: float) -> None:
        if seconds <= SLOW_SECONDS:
            self._pause = 0.0
            return
        if _waits() == waits:
            return
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LAST_PAUSE)
        self._paused_until = time.monotonic() + self._pause
