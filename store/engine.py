"""Open the database: one URL in, an `AsyncEngine` set up for this store out. Nothing connects before the first call."""

import asyncio
import sqlite3
import time

import aiosqlite
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
BUSY_SECONDS = 15
PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA synchronous = NORMAL")
WAL = "PRAGMA journal_mode = WAL"
WAL_TRIES = 100
WAL_PAUSE = 0.02  # SQLite does not wait by itself while two processes open a new file
SQLITE_CONNECTIONS = 5  # one writes, the others read; a pool of 50 stalls writers for seconds


def open_engine(url: str | URL, *, pool_size: int | None = None) -> AsyncEngine:
    """Return an engine for a SQLite or PostgreSQL URL, driver or not. Close it with `await engine.dispose()`.

    `pool_size` is the most connections to hold: 5 for SQLite, 10 for PostgreSQL, always 1 for SQLite in memory.
    `timeout` in a SQLite URL is how many seconds to wait for other processes' writes, 15 by default.
    Raises `ValueError` for another database.
    """
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, pool_size or SQLITE_CONNECTIONS)
    return create_async_engine(parsed, pool_size=pool_size or 10, max_overflow=0, pool_pre_ping=False)


def normalise_url(url: str | URL) -> URL:
    """The URL with the asynchronous driver this store uses. Raises `ValueError` for another database."""
    parsed = make_url(url)
    driver = DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise ValueError(f"Cannot use a {parsed.drivername} database: give a sqlite:// or postgresql:// URL")
    return parsed.set(drivername=driver)


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
