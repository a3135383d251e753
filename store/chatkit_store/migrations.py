"""Migrations from code: bring a database to the newest schema, or ask what that would take.

The steps are Alembic's, in `alembic/` of a checkout and `chatkit_store/_alembic` of an installed package.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.engine import open_engine
from chatkit_store.errors import SchemaUnknown, translate_errors
from chatkit_store.tables import metadata

T = TypeVar("T")

ADVISORY_LOCK = 0x636861746B6974  # "chatkit", so that our workers wait for each other and for nobody else

_alembic_in_use = threading.Lock()  # `alembic.op` and `alembic.context` are one per process


async def upgrade(database: AsyncEngine | str | URL) -> list[str]:
    """Apply what is pending, in one transaction, and return those revisions. Any number of workers may call it at once.

    Raises `SchemaUnknown` when the database is newer than this code.
    """
    async with _engine(database) as engine, _alembic():
        return await _run(engine, _upgrade)


async def pending(engine: AsyncEngine) -> list[str]:
    """The revisions that the database lacks, oldest first; empty when it is up to date. Raises `SchemaUnknown`."""
    return await _run(engine, missing_revisions)


async def taken_names(engine: AsyncEngine) -> list[str]:
    """Tables that are called as ours and that no migration has made: somebody else's, in whose way ours would be."""
    return await _run(engine, _taken_names)


async def current(engine: AsyncEngine) -> str | None:
    """The database's revision; None for a database without one."""
    return await _run(engine, revision_of)


def scripts() -> Path:
    """The folder with env.py and versions/."""
    packaged = Path(__file__).with_name("_alembic")
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "alembic"


def head() -> str | None:
    """The newest revision that this code has."""
    return ScriptDirectory(str(scripts())).get_current_head()


def revision_of(connection: Connection) -> str | None:
    """The revision noted in the database."""
    return MigrationContext.configure(connection).get_current_revision()


def missing_revisions(connection: Connection) -> list[str]:
    """The revisions between the database's and the newest, oldest first."""
    known, at = ScriptDirectory(str(scripts())), revision_of(connection)
    try:
        steps = [step.revision for step in known.iterate_revisions("head", at or "base")]
    except (CommandError, RevisionError) as error:
        raise SchemaUnknown(
            f"The database is at revision {at}, which this version does not have: a newer one migrated it. Install "
            "that version, or a newer one."
        ) from error
    return steps[::-1]


def stamp(connection: Connection) -> None:
    """Note that the database has the newest schema, unless some revision is noted already."""
    context = MigrationContext.configure(connection)
    if context.get_current_revision() is None:
        context.stamp(ScriptDirectory(str(scripts())), "head")


@contextmanager
def lock_schema(connection: Connection) -> Iterator[None]:
    """One transaction on the schema that waits for any other one; commits at the end."""
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # steps and the wait may take their time
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 begins none for DDL by itself
        yield


def _upgrade(connection: Connection) -> list[str]:
    missing = missing_revisions(connection)
    connection.rollback()  # end the transaction of that look: env.py begins and locks its own
    if missing:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
        command.upgrade(config, "head")
    return missing


async def _run(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(work)


def _taken_names(connection: Connection) -> list[str]:
    there = set() if revision_of(connection) else set(inspect(connection).get_table_names())
    return sorted(there & set(metadata.tables))


@asynccontextmanager
async def _engine(database: AsyncEngine | str | URL) -> AsyncIterator[AsyncEngine]:
    """The engine itself, or one for the URL that is closed afterwards."""
    if isinstance(database, AsyncEngine):
        yield database
        return
    engine = open_engine(database)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _alembic() -> AsyncIterator[None]:
    """Wait for other upgrades of this process, on whatever event loop they run."""
    while not _alembic_in_use.acquire(blocking=False):  # noqa: ASYNC110 - the holder may be on another event loop
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        _alembic_in_use.release()
