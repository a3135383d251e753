"""Migrate a database to the newest schema, or list the pending revisions.

The Alembic scripts are in `alembic/` in a checkout, and in `chatkit_store/_alembic` in an installed package.
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

from chatkit_store.acting import ALL_USERS, act_for
from chatkit_store.engine import open_engine
from chatkit_store.errors import SchemaUnknown, translate_errors
from chatkit_store.tables import metadata

T = TypeVar("T")

ADVISORY_LOCK = 0x636861746B6974  # "chatkit": our workers wait for each other only

_alembic_in_use = threading.Lock()  # `alembic.op` and `alembic.context` are global to the process


async def upgrade(database: AsyncEngine | str | URL) -> list[str]:
    """Apply pending revisions in one transaction and return them. Any number of workers may call it at once.

    Raises `SchemaUnknown` if the database is newer than this code.
    """
    async with _engine(database) as engine, _alembic():
        return await _run(engine, _upgrade)


async def pending(engine: AsyncEngine) -> list[str]:
    """Return the revisions that the database lacks, oldest first. Raises `SchemaUnknown`."""
    return await _run(engine, missing_revisions)


async def taken_names(engine: AsyncEngine) -> list[str]:
    """Return existing tables with our names in a database that was never migrated: another application uses them."""
    return await _run(engine, _taken_names)


async def current(engine: AsyncEngine) -> str | None:
    """Return the database's revision, or None if it was never migrated."""
    return await _run(engine, revision_of)


def scripts() -> Path:
    """Return the folder with env.py and versions/."""
    packaged = Path(__file__).with_name("_alembic")
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "alembic"


def head() -> str | None:
    """Return the newest revision of this code."""
    return ScriptDirectory(str(scripts())).get_current_head()


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision, or None."""
    return MigrationContext.configure(connection).get_current_revision()


def missing_revisions(connection: Connection) -> list[str]:
    """Return the revisions between the database's and the newest, oldest first. Raises `SchemaUnknown`."""
    directory, revision = ScriptDirectory(str(scripts())), revision_of(connection)
    try:
        steps = [step.revision for step in directory.iterate_revisions("head", revision or "base")]
    except (CommandError, RevisionError) as error:
        raise SchemaUnknown(
            f"The database is at revision {revision}, which this version does not have: a newer one migrated it. "
            "Install that version, or a newer one."
        ) from error
    return steps[::-1]


def stamp(connection: Connection) -> None:
    """Set the database's revision to the newest, unless it has one."""
    context = MigrationContext.configure(connection)
    if context.get_current_revision() is None:
        context.stamp(ScriptDirectory(str(scripts())), "head")


@contextmanager
def lock_schema(connection: Connection) -> Iterator[None]:
    """Run one transaction on the schema, after waiting for any other one; commits at the end."""
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # waiting and migrating may take long
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            act_for(connection, ALL_USERS)  # a migration changes the rows of all users
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 starts no transaction for DDL
        yield


def _upgrade(connection: Connection) -> list[str]:
    missing = missing_revisions(connection)
    connection.rollback()  # end this transaction: env.py starts and locks its own
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
    existing = set() if revision_of(connection) else set(inspect(connection).get_table_names())
    return sorted(existing & set(metadata.tables))


@asynccontextmanager
async def _engine(database: AsyncEngine | str | URL) -> AsyncIterator[AsyncEngine]:
    """Yield the given engine, or one for the URL that is closed afterwards."""
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
    """Wait for other upgrades in this process, on any event loop."""
    while not _alembic_in_use.acquire(blocking=False):  # noqa: ASYNC110 - the holder may be on another event loop
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        _alembic_in_use.release()
