"""Open the database: configure an `AsyncEngine` for a URL. Nothing connects before the first call."""

import asyncio
import sqlite3
import time

import aiosqlite
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import AdaptedConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from chatkit_store.acting import OPTION
from chatkit_store.errors import is_lost
from chatkit_store.extras import require_extra
from chatkit_store.sessions import OPTION as SESSIONS
from chatkit_store.sessions import Sessions
from chatkit_store.urls import (
    InvalidUrl,
    checked_schema,
    is_pooled,
    normalise_url,
    postgres_arguments,
    sqlite_seconds,
)

STATEMENT_SECONDS = 60
IDLE_SECONDS = 60.0
TRANSACTION_PAUSE_SECONDS = 10  # shorter than the silence after which other workers take over the turns of this one
PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA synchronous = NORMAL")
WAL = "PRAGMA journal_mode = WAL"
WAL_TRIES = 100
WAL_PAUSE = 0.02  # SQLite does not wait while another process opens a new file
SQLITE_CONNECTIONS = 5  # one writes, the others read; a pool of 50 stalls writers for seconds


def open_engine(
    url: str | URL,
    *,
    pool_size: int | None = None,
    statement_seconds: int = STATEMENT_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
    row_security: bool = False,
    schema: str | None = None,
) -> AsyncEngine:
    """Return an engine for a SQLite or PostgreSQL URL; the URL's driver is ignored. Close it with `engine.dispose()`.

    `pool_size` limits the connections. It defaults to 5 for SQLite and 10 for PostgreSQL, and is 1 for SQLite in
    memory. `timeout` in a SQLite URL is the time in seconds that a call may wait for other writes, 75 by default. On
    PostgreSQL, `statement_seconds` limits each statement, including its wait for locks, and connections that were idle
    for `idle_seconds` are replaced. With `row_security`, each transaction says for whom it acts, as the policies of
    `row_security.protect` demand. `schema` is where PostgreSQL has the tables, instead of the role's search path;
    migrations create it. Errors do not contain a statement's values. Raises `InvalidUrl`, a `ValueError`, and
    `ExtraMissing` for a PostgreSQL URL without the extra `postgres`.
    """
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite":
        if row_security:
            raise InvalidUrl("is of a SQLite database, which has no row-level security")
        if schema is not None:
            raise InvalidUrl("is of a SQLite database, which has no schemas")
        return _open_sqlite(parsed, pool_size or SQLITE_CONNECTIONS)
    # A blocked or runaway statement ends and releases its locks, as does a transaction that pauses, whose process may
    # have been stopped (SIGSTOP).
    limits = {
        "statement_timeout": f"{statement_seconds}s",
        "idle_in_transaction_session_timeout": f"{TRANSACTION_PAUSE_SECONDS}s",
    }
    sessions = Sessions(limits, checked_schema(parsed, schema), is_pooled(parsed))
    return _open_postgresql(parsed, pool_size or 10, idle_seconds, sessions, row_security=row_security)


def _open_postgresql(
    url: URL, pool_size: int, idle_seconds: float, sessions: Sessions, *, row_security: bool
) -> AsyncEngine:
    """Open an engine that replaces idle connections, which a firewall may have dropped silently.

    Younger connections are not pinged. If one is dead, its first statement fails and `Database` retries the call.
    """

    def refuse_idle(_: object, record: ConnectionPoolEntry, __: object) -> None:
        now = time.monotonic()
        if now - record.info.get("idle since", now) > idle_seconds:
            raise DisconnectionError("idle for too long")  # the pool opens a new connection

    require_extra("postgres", "asyncpg", "PostgreSQL")
    url, arguments = postgres_arguments(url)
    engine = create_async_engine(
        url,
        connect_args=arguments,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        execution_options={SESSIONS: sessions} | ({OPTION: True} if row_security else {}),
    )
    sessions.listen(engine)
    event.listen(engine.sync_engine, "checkin", _note_idle)
    event.listen(engine.sync_engine, "checkout", refuse_idle)
    event.listen(engine.sync_engine, "handle_error", _note_lost)
    return engine


def _note_idle(_: object, record: ConnectionPoolEntry) -> None:
    record.info["idle since"] = time.monotonic()


def _note_lost(context: ExceptionContext) -> None:
    """Make the pool discard a connection that the server closed, and all others opened before the error."""
    if is_lost(context.original_exception):
        context.is_disconnect = True


def _open_sqlite(url: URL, pool_size: int) -> AsyncEngine:
    """Make sqlite3 send BEGIN IMMEDIATE before the first changing statement of a transaction.

    This needs no extra trip to aiosqlite's thread, and no transaction upgrades a read lock ("database is locked").
    """
    if is_memory(url):  # one connection is the database; calls share it in turn (a StaticPool would mix transactions)
        pool_size = 1
    engine = create_async_engine(
        _with_timeout(url),
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
        _with_timeout(url).set(drivername="sqlite+pysqlite"),
        connect_args={"isolation_level": "IMMEDIATE", "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_threaded)
    return engine


def _with_timeout(url: URL) -> URL:
    """Return the SQLite URL with a time to wait for writes of other processes."""
    return url.update_query_dict({"timeout": str(sqlite_seconds(url))})


def is_memory(url: URL) -> bool:
    """Return whether a SQLite URL is in memory."""
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _prepare_sqlite(connection: AdaptedConnection, _: object) -> None:
    """Set WAL (readers do not block the writer), foreign keys, and commits that survive a crash of the process."""
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
    """Do what `_set_pragmas` does, without an event loop."""
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
