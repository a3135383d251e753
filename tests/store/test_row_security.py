"""Row-level security on PostgreSQL: a query that forgets its filter meets only rows of its own user."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Executable,
    Float,
    Integer,
    Table,
    delete,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import IdClash, SqlStore, StoreError, open_engine
from chatkit_store.acting import ALL_USERS, Actor, for_all_users
from chatkit_store.columns import JsonText, UtcDateTime
from chatkit_store.database import Database
from chatkit_store.errors import code_of
from chatkit_store.migrations import lock_schema
from chatkit_store.owner import Owner
from chatkit_store.row_security import CONDITIONS, OPEN, protect, protected, role_of, unprotect, unprotected
from chatkit_store.tables import metadata
from chatkit_store.urls import InvalidUrl
from tests.conftest import opened
from tests.databases import Postgres
from tests.store.factories import ALICE, NOON, User, make_thread

OWNERS = {"alice": Owner("", "alice"), "bob": Owner("", "bob"), "twin": Owner("other", "alice")}
"""The twin has Alice's user id in another tenant."""
TABLES = [table for table in metadata.sorted_tables if table.name in CONDITIONS]
OF_THE_SERVER = {table for table, condition in CONDITIONS.items() if condition == "false"}
"""Tables of which no user may see a row."""
INSUFFICIENT_PRIVILEGE = "42501"
VIEWS_OF_USERS = ("thread_overview", "turn_stats", "messages")
Row = dict[str, Any]


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database with row-level security."""
    with postgres.guarded_database() as url:
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """A guarded engine with one connection, which each test uses again and again."""
    engine = open_engine(url, row_security=True, pool_size=1)
    yield engine
    await engine.dispose()


@pytest.fixture
async def database(engine: AsyncEngine) -> Database:
    """A database with one row of each owner in each table."""
    database = Database(engine)
    rows = [(table, row_of(table, name)) for table in TABLES for name in OWNERS]
    await database.write(lambda c: [c.execute(insert(table), row) for table, row in rows], ALL_USERS)
    return database


def row_of(table: Table, name: str, row: str = "") -> Row:
    """Return a complete row of an owner: the parents of `row` are that owner's first rows."""
    values = {column.name: value_of(column, name, row) for column in table.columns if column.name != "position"}
    return values | ({"position": len(row) + 1} if table.name in ("thread_items", "deleted_threads") else {})


def value_of(column: Column[Any], name: str, row: str) -> Any:
    if column.name in ("tenant", "user_id"):
        return getattr(OWNERS[name], column.name)
    for key in column.foreign_keys:
        return f"{key.column.table.name} of {name}"
    if column.primary_key or column.name == "id" or column.name.endswith(("_hash", "_key")):
        plain = f"{column.table.name} of {name}{row}"
        return len(row) if isinstance(column.type, Integer) else plain
    if column.table.name == "turns" and column.name == "status":
        return "completed"
    match column.type:
        case UtcDateTime():
            return NOON
        case JsonText():
            return "{}"
        case Boolean():
            return False
        case Integer() | Float():
            return 1
        case _:
            return "text"


def key_of(table: Table) -> list[Column[Any]]:
    """Return the columns that identify a row; the ids of threads are not their primary key."""
    return [table.c.id] if table.name == "threads" else list(table.primary_key.columns)


async def test_every_table_has_a_condition_or_is_open() -> None:
    assert set(CONDITIONS) | OPEN == set(metadata.tables)
    assert not set(CONDITIONS) & OPEN


@pytest.mark.parametrize("name", OWNERS)
async def test_statements_without_a_filter_meet_only_rows_of_their_user(database: Database, name: str) -> None:
    def forget_the_filter(connection: Connection) -> None:
        for table in reversed(TABLES):  # children first, so that no cascade deletes what the next one should
            keys, own = key_of(table), row_of(table, name)
            expected = [] if table.name in OF_THE_SERVER else [tuple(own[column.name] for column in keys)]
            assert connection.execute(select(*keys)).all() == expected, f"SELECT of {table.name}"
            change = update(table).values({keys[0].name: keys[0]}).returning(*keys)
            assert connection.execute(change).all() == expected, f"UPDATE of {table.name}"
            assert connection.execute(delete(table).returning(*keys)).all() == expected, f"DELETE of {table.name}"
        views = {view: connection.execute(text(f"SELECT user_id, tenant FROM {view}")).all() for view in VIEWS_OF_USERS}
        assert views == dict.fromkeys(VIEWS_OF_USERS, [])  # of what is left, nothing is this user's

    before = await counts(database)
    await database.write(forget_the_filter, OWNERS[name])
    after = await counts(database)
    assert after == {table: count - (table not in OF_THE_SERVER) for table, count in before.items()}


async def counts(database: Database) -> dict[str, int]:
    """Return the number of rows in each table, for all users."""
    statements = {table.name: text(f"SELECT count(*) FROM {table.name}") for table in TABLES}
    return await database.read(lambda c: {name: c.execute(s).scalar_one() for name, s in statements.items()}, ALL_USERS)


@pytest.mark.parametrize("victim", ["bob", "twin"])
async def test_no_row_is_written_for_another_user(database: Database, victim: str) -> None:
    before = await counts(database)
    for table in TABLES:
        for statement in thefts_of(table, victim):
            with pytest.raises(StoreError) as refusal:
                await database.write(partial(Connection.execute, statement=statement), OWNERS["alice"])
            assert code_of(refusal.value) == INSUFFICIENT_PRIVILEGE, f"{statement}"
    assert await counts(database) == before


def thefts_of(table: Table, victim: str) -> list[Executable]:
    """Return statements that write a row for the victim, take the victim's row over, and give an own row away."""
    keys, row = key_of(table), row_of(table, victim)
    takeover = postgresql.insert(table).values(row)
    changed = {keys[0].name: row[keys[0].name]}
    statements: list[Executable] = [
        insert(table).values(row_of(table, victim, "!")),
        takeover.on_conflict_do_update(index_elements=keys, set_=changed),
    ]
    if "user_id" in table.c:
        statements.append(update(table).values(OWNERS[victim]._asdict()))
    return statements


async def test_an_id_that_another_user_has_is_taken(database: Database) -> None:
    thread = make_thread(id="threads of bob")
    with pytest.raises(IdClash):
        await SqlStore[User](database.engine).save_thread(thread, ALICE)


async def test_a_transaction_that_does_not_say_for_whom_it_acts_sees_nothing(database: Database, url: str) -> None:
    careless = open_engine(url)
    try:
        seen = await Database(careless).read(count_all, OWNERS["alice"])
    finally:
        await careless.dispose()
    assert seen == dict.fromkeys(seen, 0)


def count_all(connection: Connection) -> dict[str, int]:
    return {table.name: connection.execute(text(f"SELECT count(*) FROM {table.name}")).scalar_one() for table in TABLES}


def fail(connection: Connection) -> None:
    raise LookupError


@pytest.mark.parametrize("actor", [OWNERS["alice"], ALL_USERS])
async def test_a_connection_in_the_pool_keeps_nothing(database: Database, actor: Actor) -> None:
    for call in (database.read, database.write):
        await call(count_all, actor)
        assert await left_behind(database.engine) == (False, 0)
        with pytest.raises(LookupError):
            await call(fail, actor)
        assert await left_behind(database.engine) == (False, 0)


async def left_behind(engine: AsyncEngine) -> tuple[bool, int]:
    """Return whether the only connection has a value in one of the parameters, and how many threads it sees."""
    names = ("scope", "user_id", "tenant")
    async with engine.connect() as connection:
        values = [await connection.scalar(text(f"SELECT current_setting('chatkit.{name}', true)")) for name in names]
        return any(values), (await connection.execute(text("SELECT count(*) FROM threads"))).scalar_one()


async def test_a_statement_may_count_the_rows_of_all_users(database: Database) -> None:
    def work(connection: Connection) -> list[int]:
        own = count_all(connection)["threads"]
        with for_all_users(connection):
            everyone = count_all(connection)["threads"]
        return [own, everyone, count_all(connection)["threads"]]

    assert await database.write(work, OWNERS["alice"]) == [1, 3, 1]


@pytest.mark.parametrize(("is_guarded", "extra"), [(True, 1), (False, 0)])
async def test_only_a_guarded_engine_runs_one_more_statement(url: str, is_guarded: bool, extra: int) -> None:
    engine = open_engine(url, row_security=is_guarded)
    statements: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    database = Database(engine)
    await database.read(lambda c: c.execute(select(1)), OWNERS["alice"])
    assert len(statements) == 1 + extra
    await database.write(lambda c: c.execute(select(1)), OWNERS["alice"])
    assert len(statements) == 2 * (1 + extra)
    await engine.dispose()


async def test_policies_are_made_and_removed_once(postgres: Postgres, url: str) -> None:
    async with opened(url, has_schema=True) as engine:
        assert (await unprotected(engine), await protect(engine)) == ([], [])
        await _administer(engine, "COMMENT ON POLICY chatkit_owner ON turns IS 'of an older version'")
        await _administer(engine, "ALTER TABLE threads NO FORCE ROW LEVEL SECURITY")
        await _administer(engine, "ALTER VIEW messages RESET (security_invoker)")
        assert await unprotected(engine) == await protect(engine) == ["threads", "turns", "messages"]
        assert await protected(engine) == await unprotect(engine) == sorted(CONDITIONS)
        assert (await protected(engine), await unprotect(engine)) == ([], [])
        assert await unprotected(engine) == [*sorted(CONDITIONS), *sorted(VIEWS_OF_USERS)]
        assert not (await role_of(engine)).is_exempt
    async with opened(url.replace("plain@", "postgres@"), has_schema=True) as administrator:
        assert (await role_of(administrator)).is_exempt


async def test_a_migration_changes_the_rows_of_all_users(database: Database) -> None:
    def migrate(connection: Connection) -> int:
        with lock_schema(connection):
            return connection.execute(update(metadata.tables["threads"]).values(title="migrated")).rowcount

    async with database.engine.connect() as connection:
        assert await connection.run_sync(migrate) == len(OWNERS)
    assert await left_behind(database.engine) == (False, 0)


async def _administer(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


def test_sqlite_has_no_row_level_security() -> None:
    with pytest.raises(InvalidUrl, match="no row-level security"):
        open_engine("sqlite://", row_security=True)
