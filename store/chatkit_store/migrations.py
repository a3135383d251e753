"""Migrate a database to the newest schema, or list the pending revisions.

The Alembic scripts are in `alembic/` in a checkout, and in `chatkit_store/_alembic` in an installed package. Alembic
itself is imported only to run some of them: a server starts without it.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS, act_for
from chatkit_store.engine import open_engine
from chatkit_store.errors import SchemaUnknown, translate_errors
from chatkit_store.sessions import quoted, sessions_of
from chatkit_store.tables import metadata

T = TypeVar("T")

VERSION_TABLE = "chatkit_alembic_version"
"""Has the revision of the database. `alembic_version` is left to an application that has Alembic of its own."""
FORMER_VERSION_TABLE = "alembic_version"
FORMER_REVISIONS = frozenset(f"{number:04}" for number in range(1, 12))
"""The revisions that it can have."""
ADVISORY_LOCK = 0x636861746B6974  # "chatkit": our workers wait for each other only

_REVISION = text(f"SELECT version_num FROM {VERSION_TABLE}")

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


async def schema_problem(engine: AsyncEngine) -> str | None:
    """Return what the database lacks, with the remedy, or None. One that a newer version has migrated lacks nothing.

    Raises `StoreError` if the database does not answer.
    """
    return await _run(engine, _schema_problem)


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


def head() -> str:
    """Return the newest revision of this code."""
    return revisions()[-1]


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions of this code, oldest first: the numbers of its scripts."""
    return tuple(sorted(script.name.partition("_")[0] for script in (scripts() / "versions").glob("[0-9]*.py")))


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision, or None."""
    table = version_table(connection)
    if not inspect(connection).has_table(table):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {table}"))
    return revision


def missing_revisions(connection: Connection) -> list[str]:
    """Return the revisions between the database's and the newest, oldest first. Raises `SchemaUnknown`."""
    revision, all_revisions = revision_of(connection), list(revisions())
    if revision is None:
        return all_revisions
    if revision not in all_revisions:
        raise SchemaUnknown(
            f"The database is at revision {revision}, which this version does not have. Either a newer version "
            f"migrated it: install that one, or a newer one. Or another application wrote the table {VERSION_TABLE}: "
            "give this one a database of its own, or on PostgreSQL a schema (CHATKIT_DATABASE_SCHEMA)."
        )
    return all_revisions[all_revisions.index(revision) + 1 :]


def version_table(connection: Connection) -> str:
    """Return the table that has the revision: before 0012, it was `alembic_version`, unless that is of another one."""
    if not has_former_version_table(connection):
        return VERSION_TABLE
    return FORMER_VERSION_TABLE


def has_former_version_table(connection: Connection) -> bool:
    """Return whether the revision is still in `alembic_version`: with one of ours, and our tables beside it."""
    tables = inspect(connection)
    names = (FORMER_VERSION_TABLE, "threads", "thread_items")
    if tables.has_table(VERSION_TABLE) or not all(tables.has_table(name) for name in names):
        return False
    revisions = connection.scalars(text(f"SELECT version_num FROM {FORMER_VERSION_TABLE}")).all()
    columns = {column["name"] for column in tables.get_columns("thread_items")}
    return len(revisions) == 1 and revisions[0] in FORMER_REVISIONS and {"thread_id", "payload"} <= columns


def rename_version_table(connection: Connection) -> None:
    """Leave `alembic_version`, if it is ours, to others: another application may create one of its own."""
    if not has_former_version_table(connection):
        return
    connection.execute(text(f"ALTER TABLE {FORMER_VERSION_TABLE} RENAME TO {VERSION_TABLE}"))
    if connection.dialect.name == "postgresql":  # the name of its index would be taken
        old, new = f"{FORMER_VERSION_TABLE}_pkc", f"{VERSION_TABLE}_pkc"
        connection.execute(text(f"ALTER TABLE {VERSION_TABLE} RENAME CONSTRAINT {old} TO {new}"))


def stamp(connection: Connection) -> None:
    """Set the database's revision to the newest, unless it has one."""
    columns = f"version_num VARCHAR(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)"
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} ({columns})"))  # as Alembic does
    if connection.scalar(_REVISION) is None:
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:head)"), {"head": head()})


@contextmanager
def lock_schema(connection: Connection) -> Iterator[None]:
    """Run one transaction on the schema, after waiting for any other one; commits at the end."""
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # waiting and migrating may take long
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            act_for(connection, ALL_USERS)  # a migration changes the rows of all users
            _create_namespace(connection)
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 starts no transaction for DDL
        yield


def _create_namespace(connection: Connection) -> None:
    """Create the PostgreSQL schema of the tables if it is missing: an existing one needs no privilege for that."""
    sessions = sessions_of(connection)
    if sessions is None or sessions.schema is None:
        return
    name = quoted(sessions.schema)
    if connection.scalar(text("SELECT to_regnamespace(:name)::text"), {"name": name}) is None:
        connection.execute(text(f"CREATE SCHEMA {name}"))


def _upgrade(connection: Connection) -> list[str]:
    missing = missing_revisions(connection)
    connection.rollback()  # end this transaction: env.py starts and locks its own
    if missing:
        from alembic import command
        from alembic.config import Config

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
        command.upgrade(config, "head")
    return missing


async def _run(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(work)


def _schema_problem(connection: Connection) -> str | None:
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables or connection.scalars(_REVISION).all() != [head()]:
        try:
            missing = missing_revisions(connection)
        except SchemaUnknown:  # workers of the former version serve until those of the new one have replaced them
            return None
        if missing:
            return f"The database lacks {len(missing)} migration(s). Run `chatkit-server migrate`."
    if names := sorted(set(metadata.tables) - tables):
        return (
            f"The database lacks the table(s) {', '.join(names)}, though its migrations are complete. Restore a "
            f"backup, or drop all tables with {VERSION_TABLE} and run `chatkit-server migrate` for an empty database."
        )
    return None


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
