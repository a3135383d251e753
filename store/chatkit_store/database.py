"""Run each store call as one short transaction. Knows no tables."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, Row, Table, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only, greenlet_spawn

from chatkit_store.acting import Actor, act_for, is_guarded
from chatkit_store.baselines import Baselines
from chatkit_store.engine import SQLITE_CONNECTIONS, is_memory
from chatkit_store.errors import is_deadlock, translate_errors
from chatkit_store.prepared import is_watched, prepare
from chatkit_store.sessions import sessions_of
from chatkit_store.sqlite_threads import SqliteThreads
from chatkit_store.urls import CALL_SECONDS, sqlite_seconds

T = TypeVar("T")
Work = Callable[[Connection], T]
"""The database work of one store call.

It may run in an OS thread, and again on another connection, so its only side effects are on rows.
"""

AnyRow = Row[*tuple[Any, ...]]

CANCEL_SECONDS = 5.0


class _Shared:
    """The state that all stores on one engine share."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.baselines = Baselines()
        self._url: URL = engine.url
        self._connections = engine.pool.size() if isinstance(engine.pool, QueuePool) else SQLITE_CONNECTIONS
        self._threads: dict[int, SqliteThreads] = {}  # by process id: threads and connections do not survive a fork
        self._writer: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    def sqlite_threads(self) -> SqliteThreads:
        """Return the threads that serve a SQLite file, in this process."""
        process_id = os.getpid()
        if (threads := self._threads.get(process_id)) is not None:
            return threads
        for inherited in list(self._threads.values()):
            inherited.disown()
        return self._threads.setdefault(process_id, SqliteThreads(self._url, self._connections))

    def writer(self) -> asyncio.Lock:
        """Return the lock that writers to an in-memory SQLite database wait for."""
        loop = asyncio.get_running_loop()
        if self._writer is None or self._writer[0] is not loop:
            self._writer = (loop, asyncio.Lock())
        return self._writer[1]

    def in_use(self) -> int:
        """Return how many connections the threads are using."""
        threads = self._threads.get(os.getpid())
        return 0 if threads is None else threads.in_use()

    def close(self, _: Engine) -> None:
        """Stop the threads; the next call starts new ones."""
        if (threads := self._threads.pop(os.getpid(), None)) is not None:
            threads.close()


_shared: WeakKeyDictionary[Engine, _Shared] = WeakKeyDictionary()


def _shared_by(engine: AsyncEngine) -> _Shared:
    shared = _shared.get(engine.sync_engine)
    if shared is None:
        shared = _shared.setdefault(engine.sync_engine, _Shared(engine))
        event.listen(engine.sync_engine, "engine_disposed", shared.close)
    return shared


def in_use(engine: AsyncEngine) -> int:
    """Return how many connections are in use: the engine's and those of its stores' threads."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout() + _shared_by(engine).in_use()


class Database:
    """Runs a store's work on a connection and always returns the connection, even on errors and cancellation.

    A cancelled call first finishes its transaction, for at most 5 seconds, so it is written as a whole or not at all.
    Each call names its actor, for row-level security: `context`, or `ALL_USERS` for the server's own work.
    A call that waits longer than `call_seconds` raises `StoreUnavailable`, whatever it waits for: its turn, a
    connection, a lock or the server. A SQLite URL's `timeout` replaces the 75 seconds.
    """

    def __init__(self, engine: AsyncEngine, call_seconds: float | None = None) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._is_sqlite = self.dialect == "sqlite"
        self._is_file = self._is_sqlite and not is_memory(engine.url)
        self._is_guarded = is_guarded(engine)
        # The statements of a read are independent, so PostgreSQL needs no BEGIN and ROLLBACK around them, except where
        # a transaction has to say for whom it acts, or in which schema.
        self._sessions = None if self._is_guarded else sessions_of(engine)
        self._plain_reader = (
            engine if self._sessions is None else engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._shared = _shared_by(engine)
        if call_seconds is None:
            call_seconds = sqlite_seconds(engine.url) if self._is_sqlite else CALL_SECONDS
        self._call_seconds = call_seconds

    @property
    def baselines(self) -> Baselines:
        """The baselines of objects that stores on this engine have loaded or saved."""
        return self._shared.baselines

    async def read(self, work: Work[T], actor: Actor, *, is_short: bool = False) -> T:
        """Run `work`, which changes nothing: each statement sees what is committed by then.

        One that looks up a few rows by an index `is_short`, as short writes are.
        """
        if self._is_file:
            threads = self._shared.sqlite_threads()
            return await _uninterrupted(threads.read(work, self._call_seconds, is_short=is_short))
        return await _uninterrupted(self._run(self._reader().sync_engine.connect, self._acting_for(actor, work)))

    async def write(self, work: Work[T], actor: Actor, *, is_short: bool = False) -> T:
        """Run `work` in one transaction, committed when it returns.

        Its first statement must be a change, not a SELECT: on SQLite that takes the write lock. A write of a few rows
        and short texts `is_short` (`loop_connection`): on a SQLite file it may run at once, on the caller's thread.
        """
        if self._is_file:
            threads = self._shared.sqlite_threads()
            return await _uninterrupted(threads.write(work, self._call_seconds, is_short=is_short))
        turn = self._shared.writer() if self._is_sqlite else None
        return await _uninterrupted(self._run(self.engine.sync_engine.begin, self._acting_for(actor, work), turn))

    @property
    def writes_at_once(self) -> bool:
        """Whether one statement can be a transaction of its own, without a BEGIN and a COMMIT around it.

        Not where a transaction has to say for whom it acts, nor behind a pooler, where it sets its time limits.
        """
        return self._sessions is not None and self._sessions.is_pooled is False

    async def write_at_once(
        self, statement: Any, values: Any, actor: Actor, *, may_repeat: bool
    ) -> Sequence[AnyRow] | None:
        """Run one statement as a transaction of its own, in one round trip, and return its rows.

        Only if `writes_at_once`. If the connection is lost, it is unknown whether the statement was committed: with
        `may_repeat` it runs again, else the caller gets the error. On one that was lost before, nothing runs: None.
        """

        def work(connection: Connection) -> Sequence[AnyRow] | None:
            driver = connection.connection.driver_connection
            if driver is None or driver.is_closed():
                return None
            if not is_watched(connection.engine):
                with suppress(Exception):  # the same on SQLAlchemy's way finds out what it means
                    return _on_driver(connection, statement, values)
            return connection.execute(statement, values).all()

        call = self._run(self._plain_reader.sync_engine.connect, work, may_repeat=may_repeat)
        return await _uninterrupted(call)

    def _reader(self) -> AsyncEngine:
        has_to_begin = self._sessions is not None and self._sessions.needs_transactions
        return self.engine if has_to_begin else self._plain_reader

    def _acting_for(self, actor: Actor, work: Work[T]) -> Work[T]:
        if not self._is_guarded:
            return work

        def acting(connection: Connection) -> T:
            act_for(connection, actor)
            return work(connection)

        return acting

    async def _run(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        work: Work[T],
        turn: AbstractAsyncContextManager[Any] | None = None,
        *,
        may_repeat: bool = True,
    ) -> T:
        """Run `work` on a connection, and once again if that is lost before `work` ends, or PostgreSQL ends a deadlock.

        Connections die in the pool after a restart, a failover or a firewall timeout. Deadlocks come from SQL by hand,
        which locks rows in any order. Before COMMIT nothing is written, so the retry is safe. Whether a connection lost
        during COMMIT has committed is unknown: the caller gets the error.
        """
        with translate_errors():
            async with asyncio.timeout(self._call_seconds), turn or nullcontext():
                try:
                    return await _run_once(connect, work, last=not may_repeat)
                except _RolledBack:
                    return await _run_once(connect, work, last=True)


class _RolledBack(Exception):
    """The transaction was rolled back through no fault of its own, before COMMIT."""


async def _run_once(
    connect: Callable[[], AbstractContextManager[Connection]], work: Work[T], *, last: bool = False
) -> T:
    is_done = False

    def run() -> T:  # all in one greenlet: an AsyncConnection has one for each step, and closes in a task
        nonlocal is_done
        with connect() as connection:
            result = work(connection)
            is_done = True
        return result

    try:
        return await greenlet_spawn(run)
    except exc.DBAPIError as error:
        if last or is_done or not (error.connection_invalidated or is_deadlock(error)):
            raise
        raise _RolledBack from error


def _on_driver(connection: Connection, statement: Any, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement on asyncpg's connection, as a transaction of its own, for half of SQLAlchemy's CPU."""
    prepared = prepare(statement, tuple(values), connection.dialect)
    arguments, pooled = prepared.arguments(values), connection.connection
    driver: Any = pooled.driver_connection
    statements: dict[str, Any] = pooled.info.setdefault("statements of the store", {})
    try:
        if prepared.sql not in statements:
            statements[prepared.sql] = await_only(driver.prepare(prepared.sql))
        rows = await_only(statements[prepared.sql].fetch(*arguments))
    except BaseException as error:
        statements.pop(prepared.sql, None)  # its plan may be outdated
        if not isinstance(error, Exception):  # cancelled: asyncpg may be busy with it
            connection.invalidate(error)
        raise
    return [prepared.to_row(row) for row in rows]


async def _uninterrupted(call: Awaitable[T]) -> T:
    """Await `call` in its own task; a cancelled caller waits for it, so that no transaction is cut in the middle."""
    task = asyncio.ensure_future(call)
    if task.done():
        return task.result()
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end(task)
        raise


async def _end(task: asyncio.Future[Any]) -> None:
    """Wait until `task` is done, however often the caller is cancelled; cancel it after `CANCEL_SECONDS`.

    An OS thread cannot be cancelled: it ends its transaction later.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CANCEL_SECONDS
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=max(deadline - loop.time(), 0.1))
        if loop.time() >= deadline:
            task.cancel()
    if not task.cancelled():
        task.exception()  # marks the exception as retrieved; the cancelled caller cannot get it


def insert_into(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT with ON CONFLICT support, which SQLAlchemy has per dialect."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
