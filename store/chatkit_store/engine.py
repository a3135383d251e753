"""Open the database: one URL in, an `AsyncEngine` set up for this store out. Nothing connects before the first call."""

import asyncio
import sqlite3
import time

import aiosqlite
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine import AdaptedConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from chatkit_store.errors import is_lost

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
BUSY_SECONDS = 15
STATEMENT_SECONDS = 60  # how long PostgreSQL works on one statement, waiting for locks included
IDLE_SECONDS = 60.0
PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA synchronous = NORMAL")
WAL = "PRAGMA journal_mode = WAL"
WAL_TRIES = 100
WAL_PAUSE = 0.02  # SQLite does not wait by itself while two processes open a new file
SQLITE_CONNECTIONS = 5  # one writes, the others read; a pool of 50 stalls writers for seconds


def open_engine(url: str | URL, *, pool_size: int | None = None) -> AsyncEngine:
    """Return an engine for a SQLite or PostgreSQL URL, driver or not. Close it with `await engine.dispose()`.

    `pool_size` is the most connections to hold: 5 for SQLite, 10 for PostgreSQL, always 1 for SQLite in memory.
    `timeout` in a SQLite URL is how many seconds to wait for other processes' writes, 15 by default. On PostgreSQL a
    statement may take 60 s. No error of the engine's shows a statement's values.
    Raises `ValueError` for another database.
    """
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, pool_size or SQLITE_CONNECTIONS)
    return _open_postgresql(parsed, pool_size or 10)


def normalise_url(url: str | URL) -> URL:
    """The URL with the asynchronous driver this store uses. Raises `ValueError` for another database."""
    parsed = make_url(url)
    driver = DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise ValueError(f"Cannot use a {parsed.drivername} database: give a sqlite:// or postgresql:// URL")
    return parsed.set(drivername=driver)


def _open_postgresql(url: URL, pool_size: int) -> AsyncEngine:
    """A connection that was idle for a minute is replaced: what lies between may have forgotten it without a word.

    That a younger one is dead shows in its first statement, and `Database` runs the call once more: no ping per call.
    """
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _limit_statements)
    event.listen(engine.sync_engine, "checkin", _note_idle)
    event.listen(engine.sync_engine, "checkout", _refuse_idle)
    event.listen(engine.sync_engine, "handle_error", _note_lost)
    return engine


def _limit_statements(connection: AdaptedConnection, _: object) -> None:
    """A statement that waits for a lock or runs away ends by itself, and frees what it holds."""
    # By SET, not as a start-up parameter: a pgbouncer in between refuses those.
    connection.run_async(lambda driver: driver.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'"))


def _note_idle(_: object, record: ConnectionPoolEntry) -> None:
    record.info["idle since"] = time.monotonic()


def _refuse_idle(_: object, record: ConnectionPoolEntry, __: object) -> None:
    now = time.monotonic()
    if now - record.info.get("idle since", now) > IDLE_SECONDS:
        raise DisconnectionError("idle for too long")  # the pool connects anew


def _note_lost(context: ExceptionContext) -> None:
    """A connection that the server ended is not used again, nor are those that are as old."""
    if is_lost(context.original_exception):
        context.is_disconnect = True


def _open_sqlite(url: URL, pool_size: int) -> AsyncEngine:
    """Every write opens with BEGIN IMMEDIATE: sqlite3 sends it by itself before the first changing statement.

    That costs no extra trip to aiosqlite's thread, and no read turns into a write half way ("database is locked").
    """
    if is_memory(url):  # one connection is the database; calls take turns at it (a StaticPool would mix transactions)
        pool_size = 1
    engine = create_async_engine(
        _patient(url),
        connect_args={"isolation_level": "IMMEDIATE"},
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def open_threaded(url: URL, connections: int) -> Engine:
    """Return a synchronous engine for a SQLite file, set up as `open_engine` does; any thread may use it."""
    engine = create_engine(
        _patient(url).set(drivername="sqlite+pysqlite"),
        connect_args={"isolation_level": "IMMEDIATE", "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_threaded)
    return engine


def _patient(url: URL) -> URL:
    """The SQLite URL with a time to wait for other processes' writes."""
    return url.update_query_dict({"timeout": url.query.get("timeout", str(BUSY_SECONDS))})


def is_memory(url: URL) -> bool:
    """Whether a SQLite URL names no file."""
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _prepare_sqlite(connection: AdaptedConnection, _: object) -> None:
    """Readers do not block the writer (WAL), keys cascade, a commit survives a crash of the process."""
    connection.run_async(_set_pragmas)


async def _set_pragmas(connection: aiosqlite.Connection) -> None:
    for pragma in PRAGMAS:
        await connection.execute(pragma)
    for last in (*[False] * WAL_TRIES, True):
        try:
            await connection.execute(WAL)
            return
        except sqlite3.OperationalError as error:
            if last or "locked" not in str(error):
                raise
        await asyncio.sleep(WAL_PAUSE)


def _prepare_threaded(connection: sqlite3.Connection, _: object) -> None:
    """The same without an event loop."""
    for pragma in PRAGMAS:
        connection.execute(pragma)
    for last in (*[False] * WAL_TRIES, True):
        try:
            connection.execute(WAL)
            return
        except sqlite3.OperationalError as error:
            if last or "locked" not in str(error):
                raise
        time.sleep(WAL_PAUSE)
