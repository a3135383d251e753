"""One short transaction per store call: how all of the store reaches its database. Knows no tables."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Row, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store.baselines import Baselines
from store.errors import translate_errors

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

AnyRow = Row[*tuple[Any, ...]]

CANCEL_SECONDS = 5.0


class _Shared:
    """What all stores on one engine have in common."""

    def __init__(self) -> None:
        self.baselines = Baselines()
        self._writer: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    def writer(self) -> asyncio.Lock:
        """The queue of this process's writers on SQLite, which lets one in at a time anyway.

        Waiting here is fair and holds no connection; SQLite's own wait sleeps and may starve a writer.
        """
        loop = asyncio.get_running_loop()
        if self._writer is None or self._writer[0] is not loop:
            self._writer = (loop, asyncio.Lock())
        return self._writer[1]


_shared: WeakKeyDictionary[Engine, _Shared] = WeakKeyDictionary()


class Database:
    """Runs a store's work on a connection and gives the connection back, also on errors and cancellation.

    A cancelled call ends its transaction first, for at most 5 seconds: it is written whole or not at all.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._is_sqlite = self.dialect == "sqlite"
        # A read is one statement: PostgreSQL then needs no BEGIN and no ROLLBACK around it.
        self._reader = engine if self._is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._shared = _shared.setdefault(engine.sync_engine, _Shared())

    @property
    def baselines(self) -> Baselines:
        """What the stores on this engine know of the objects they gave away."""
        return self._shared.baselines

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """See `insert_into`."""
        return insert_into(table, self.dialect)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection; statements see committed rows, each for itself."""
        return await _whole(self._read(work))

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction, committed when it returns. Its first statement must be a change, not a SELECT.

        (On SQLite a change is what takes the write lock.)
        """
        return await _whole(self._write_in_turn(work) if self._is_sqlite else self._write(work))

    async def _read(self, work: Work[T]) -> T:
        with translate_errors():
            async with self._reader.connect() as connection:
                return await work(connection)

    async def _write_in_turn(self, work: Work[T]) -> T:
        async with self._shared.writer():
            return await self._write(work)

    async def _write(self, work: Work[T]) -> T:
        with translate_errors():
            async with self.engine.begin() as connection:
                return await work(connection)


async def _whole(call: Coroutine[Any, Any, T]) -> T:
    """Await `call` in a task of its own, which a cancelled caller waits for, so no transaction is cut in the middle."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end(task)
        raise


async def _end(task: asyncio.Future[Any]) -> None:
    """Wait until `task` is done, however often we are cancelled meanwhile; cancel it when it takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CANCEL_SECONDS
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=max(deadline - loop.time(), 0.1))
        if loop.time() >= deadline:
            task.cancel()
    if not task.cancelled():
        task.exception()  # it was the cancelled caller's; nobody else will look


def insert_into(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, which SQLAlchemy has per database."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


async def all_rows(connection: AsyncConnection, query: Any) -> Sequence[AnyRow]:
    """Every row of a query."""
    rows: Sequence[AnyRow] = (await connection.execute(query)).all()
    return rows


async def one_row(connection: AsyncConnection, query: Any) -> AnyRow | None:
    """The row of a query that has at most one."""
    row: AnyRow | None = (await connection.execute(query)).one_or_none()
    return row
