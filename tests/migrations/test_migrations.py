"""The schema as migrations make it, on both databases."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SchemaUnknown, SqlStore, create_schema, migrations, open_engine
from chatkit_store.schema import VIEWS
from chatkit_store.tables import metadata
from tests.conftest import fresh_database
from tests.store.factories import ALICE, User, make_thread

ROOT = Path(__file__).parent.parent.parent


def alembic(*words: str, url: str | None = None, **environment: str) -> str:
    """Run the `alembic` command in the checkout, as a person would."""
    options = ["-c", str(ROOT / "alembic.ini"), *(["-x", f"url={url}"] if url else [])]
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *options, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """A second fresh database of the same kind."""
    folder = tmp_path / "other"
    folder.mkdir()
    with fresh_database(database_url.partition(":")[0], folder, request) as url:
        yield url


async def test_up_down_and_up_again_ends_at_the_newest_schema(database_url: str) -> None:
    engine = open_engine(database_url)
    assert await migrations.pending(engine) == REVISIONS
    assert await migrations.current(engine) is None
    assert await migrations.upgrade(engine) == REVISIONS
    first = await schema_of(engine)
    await asyncio.to_thread(alembic, "downgrade", "base", url=database_url)
    assert (await schema_of(engine))["tables"].keys() == {"alembic_version"}
    assert await migrations.upgrade(database_url) == REVISIONS
    assert await schema_of(engine) == first
    assert await migrations.pending(engine) == []
    assert await migrations.current(engine) == REVISIONS[-1]
    assert await migrations.upgrade(engine) == []
    await engine.dispose()


REVISIONS = ["0001", "0002", "0003", "0004", "0005", "0006"]


def test_there_is_one_head() -> None:
    scripts = ScriptDirectory(str(migrations.scripts()))
    assert scripts.get_heads() == [migrations.head()]
    assert [step.revision for step in scripts.walk_revisions()][::-1] == REVISIONS


async def test_alembic_check_finds_nothing_to_migrate(database_url: str) -> None:
    await migrations.upgrade(database_url)
    assert "No new upgrade operations detected" in await asyncio.to_thread(alembic, "check", url=database_url)


async def test_created_schema_equals_the_migrated_one_and_counts_as_migrated(database_url: str, other_url: str) -> None:
    created, migrated = open_engine(database_url), open_engine(other_url)
    await create_schema(created)
    await migrations.upgrade(migrated)
    assert await schema_of(created) == await schema_of(migrated)
    assert await migrations.pending(created) == []
    assert await migrations.current(created) == migrations.head()
    assert set((await schema_of(migrated))["tables"]) == {*metadata.tables, "alembic_version"}
    assert set((await schema_of(migrated))["views"]) == set(VIEWS)
    await created.dispose()
    await migrated.dispose()


async def schema_of(engine: AsyncEngine) -> dict[str, Any]:
    """All there is to compare of a schema."""
    async with engine.connect() as connection:
        return await connection.run_sync(_inspect)


def _inspect(connection: Connection) -> dict[str, Any]:
    found = inspect(connection)
    tables = {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in found.get_columns(name)],
            "primary key": found.get_pk_constraint(name),
            "foreign keys": sorted(found.get_foreign_keys(name), key=str),
            "unique": sorted(found.get_unique_constraints(name), key=str),
            "indexes": sorted(_spelled(index) for index in found.get_indexes(name)),
        }
        for name in found.get_table_names()
    }
    return {"tables": tables, "views": {name: found.get_view_definition(name) for name in found.get_view_names()}}


def _spelled(index: Any) -> str:
    """An index, with the condition of a partial one as text."""
    options = {name: str(value) for name, value in index.pop("dialect_options", {}).items()}
    return f"{index} {options}"


async def test_many_workers_may_upgrade_at_once(database_url: str) -> None:
    """In one process and in others: one does the work, the others wait and find nothing to do."""
    engine = open_engine(database_url)
    commands = [asyncio.to_thread(alembic, "upgrade", "head", url=database_url) for _ in range(2)]
    tasks = [asyncio.create_task(migrations.upgrade(database_url)) for _ in range(4)]
    await asyncio.gather(*commands, *tasks, create_schema(engine))
    assert await migrations.pending(engine) == []
    await engine.dispose()


async def test_upgrade_keeps_data_and_says_nothing(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    store: SqlStore[User] = SqlStore(engine)
    thread = make_thread(title="kept")
    await store.save_thread(thread, ALICE)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
    before = (logging.root.level, logging.root.handlers[:], logging.getLogger("chatkit_store").disabled)
    assert await migrations.upgrade(engine) == []
    assert (await store.load_thread(thread.id, ALICE)).title == "kept"
    assert (logging.root.level, logging.root.handlers, logging.getLogger("chatkit_store").disabled) == before
    assert capsys.readouterr().out == ""
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_upgrade_in_a_running_loop_leaves_logging_alone(database_url: str) -> None:
    before = (logging.root.level, logging.root.handlers[:])
    assert await migrations.upgrade(database_url) == REVISIONS
    assert (logging.root.level, logging.root.handlers) == before
    assert not logging.getLogger("chatkit_server").disabled


async def test_database_of_a_newer_version_is_refused(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for call in (migrations.pending, migrations.upgrade):
        with pytest.raises(SchemaUnknown, match="9999"):
            await call(engine)


async def test_upgrade_that_fails_leaves_the_database_as_it_was(database_url: str) -> None:
    engine = open_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE feedback (id INTEGER)"))  # the last table that 0001 makes
    with pytest.raises(Exception, match="feedback"):
        await migrations.upgrade(engine)
    assert (await schema_of(engine))["tables"].keys() == {"feedback"}
    await engine.dispose()


@pytest.mark.parametrize("how", ["option", "variable", "default"])
def test_alembic_command_finds_the_database(tmp_path: Path, how: str) -> None:
    file = tmp_path / ("chatkit.db" if how == "default" else "other.db")
    url = f"sqlite:///{file}"
    environment = {"CHATKIT_DATABASE_URL": url} if how == "variable" else {}
    alembic("upgrade", "head", url=url if how == "option" else None, **environment)
    assert file.exists()


async def test_in_memory_database_migrates_on_its_own_connection() -> None:
    engine = open_engine("sqlite://")
    assert await migrations.upgrade(engine) == REVISIONS
    store: SqlStore[User] = SqlStore(engine)
    await store.save_thread(make_thread(), ALICE)
    assert await migrations.pending(engine) == []
    await engine.dispose()


def test_sql_of_the_migrations_can_be_printed_for_review() -> None:
    printed = alembic("upgrade", "head", "--sql", url="postgresql://u@h/d")
    assert "CREATE TABLE thread_items" in printed
    assert "CREATE VIEW messages" in printed
