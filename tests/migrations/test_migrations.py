"""The schema that migrations create, on both databases."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SchemaUnknown, SqlStore, create_schema, migrations, open_engine
from chatkit_store.schema import VIEWS, create_if_empty
from chatkit_store.tables import metadata
from tests.conftest import fresh_database
from tests.store.factories import ALICE, User, make_thread

ROOT = Path(__file__).parent.parent.parent


NEW_COLUMNS = """
import sys

from alembic.config import main
from sqlalchemy import Column

from chatkit_store.columns import CleanText, JsonText, UtcDateTime
from chatkit_store.tables import turns

for name, kind in {"new_text": CleanText, "new_json": JsonText, "new_time": UtcDateTime}.items():
    turns.append_column(Column(name, kind, comment=f"The {name}"))
main(sys.argv[1:])
"""
"""The `alembic` command for a schema with another column of each of our types."""


def alembic(*arguments: str, url: str | None = None, **environment: str) -> str:
    """Run the `alembic` command in the checkout."""
    options = [*(["-x", f"url={url}"] if url else []), *arguments]
    return run_alembic(["-m", "alembic"], ROOT, options, environment)


def run_alembic(
    command: Sequence[str], folder: Path, options: Sequence[str], environment: Mapping[str, str] | None = None
) -> str:
    """Run a variant of the `alembic` command with the migrations in `folder`."""
    process = subprocess.run(
        [sys.executable, *command, "-c", str(folder / "alembic.ini"), *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """A second fresh database of the same kind."""
    folder = tmp_path / "other"
    folder.mkdir()
    with fresh_database(database_url.partition(":")[0], folder, request) as url:
        yield url


async def test_upgrade_downgrade_and_upgrade_again_give_the_same_schema(database_url: str) -> None:
    engine = open_engine(database_url)
    assert await migrations.pending(engine) == REVISIONS
    assert await migrations.current(engine) is None
    assert await migrations.upgrade(engine) == REVISIONS
    first = await schema_of(engine)
    await asyncio.to_thread(alembic, "downgrade", "base", url=database_url)
    assert (await schema_of(engine))["tables"].keys() == {migrations.VERSION_TABLE}
    assert await migrations.upgrade(database_url) == REVISIONS
    assert await schema_of(engine) == first
    assert await migrations.pending(engine) == []
    assert await migrations.current(engine) == REVISIONS[-1]
    assert await migrations.upgrade(engine) == []
    await engine.dispose()


REVISIONS = [f"{number:04}" for number in range(1, 15)]


def test_there_is_one_head() -> None:
    scripts = ScriptDirectory(str(migrations.scripts()))
    assert scripts.get_heads() == [migrations.head()]
    assert [step.revision for step in scripts.walk_revisions()][::-1] == REVISIONS


async def test_alembic_check_finds_no_difference(database_url: str) -> None:
    await migrations.upgrade(database_url)
    assert "No new upgrade operations detected" in await asyncio.to_thread(alembic, "check", url=database_url)


async def test_generated_revision_adds_columns_with_the_types_of_sqlalchemy(database_url: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    shutil.copy(ROOT / "alembic.ini", tmp_path)

    async def run(*arguments: str) -> str:
        options = ["-x", f"url={database_url}", *arguments]
        return await asyncio.to_thread(run_alembic, ["-c", NEW_COLUMNS], tmp_path, options)

    await run("upgrade", "head")
    await run("revision", "--autogenerate", "--rev-id", "9999", "-m", "Add columns")
    code = (tmp_path / "alembic/versions/9999_add_columns.py").read_text()
    assert "sa.Column('new_text', sa.Text(), nullable=True, comment='The new_text')" in code
    assert "sa.Column('new_json', sa.JSON(), nullable=True, comment='The new_json')" in code
    assert "sa.Column('new_time', sa.DateTime(timezone=True), nullable=True, comment='The new_time')" in code
    assert "chatkit_store" not in code
    await run("upgrade", "head")
    assert "No new upgrade operations detected" in await run("check")


async def test_created_schema_equals_the_migrated_one(database_url: str, other_url: str) -> None:
    created, migrated = open_engine(database_url), open_engine(other_url)
    await create_schema(created)
    await migrations.upgrade(migrated)
    assert await schema_of(created) == await schema_of(migrated)
    assert await migrations.pending(created) == []
    assert await migrations.current(created) == migrations.head()
    assert set((await schema_of(migrated))["tables"]) == {*metadata.tables, migrations.VERSION_TABLE}
    assert set((await schema_of(migrated))["views"]) == set(VIEWS)
    await created.dispose()
    await migrated.dispose()


async def test_only_a_database_without_tables_gets_the_whole_schema_at_once(database_url: str) -> None:
    engine = open_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE foreign_table (id INTEGER)"))
    assert not await create_if_empty(engine)
    assert (await schema_of(engine))["tables"].keys() == {"foreign_table"}
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE foreign_table"))
    assert sorted(await asyncio.gather(*(create_if_empty(engine) for _ in range(4)))) == [False, False, False, True]
    assert await migrations.pending(engine) == []
    await engine.dispose()


async def schema_of(engine: AsyncEngine) -> dict[str, Any]:
    """Return the comparable parts of a schema."""
    async with engine.connect() as connection:
        return await connection.run_sync(_inspect)


def _inspect(connection: Connection) -> dict[str, Any]:
    inspector = inspect(connection)
    tables = {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            "primary key": inspector.get_pk_constraint(name),
            "foreign keys": sorted(inspector.get_foreign_keys(name), key=str),
            "unique": sorted(inspector.get_unique_constraints(name), key=str),
            "indexes": sorted(_describe(index) for index in inspector.get_indexes(name)),
        }
        for name in inspector.get_table_names()
    }
    triggers = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname, pg_get_triggerdef(t.oid) || prosrc FROM pg_trigger t JOIN pg_proc p "
        "ON p.oid = tgfoid WHERE NOT tgisinternal",
    }[connection.dialect.name]
    return {
        "tables": tables,
        "triggers": dict(map(tuple, connection.execute(text(triggers)))),
        "views": {name: inspector.get_view_definition(name) for name in inspector.get_view_names()},
    }


def _describe(index: Any) -> str:
    """Return an index with the condition of a partial one as text."""
    options = {name: str(value) for name, value in index.pop("dialect_options", {}).items()}
    return f"{index} {options}"


async def test_many_workers_upgrade_concurrently(database_url: str) -> None:
    """In one process and in several: one migrates, the others wait and have nothing to do."""
    engine = open_engine(database_url)
    commands = [asyncio.to_thread(alembic, "upgrade", "head", url=database_url) for _ in range(2)]
    tasks = [asyncio.create_task(migrations.upgrade(database_url)) for _ in range(4)]
    await asyncio.gather(*commands, *tasks, create_schema(engine))
    assert await migrations.pending(engine) == []
    await engine.dispose()


async def test_upgrade_keeps_data_and_logs_nothing(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    store: SqlStore[User] = SqlStore(engine)
    thread = make_thread(title="kept")
    await store.save_thread(thread, ALICE)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE chatkit_alembic_version SET version_num = version_num"))
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
        await connection.execute(text("UPDATE chatkit_alembic_version SET version_num = '9999'"))
    for call in (migrations.pending, migrations.upgrade):
        with pytest.raises(SchemaUnknown, match="9999"):
            await call(engine)


async def test_failed_upgrade_leaves_the_database_unchanged(database_url: str) -> None:
    engine = open_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE feedback (id INTEGER)"))  # the last table that 0001 creates
    with pytest.raises(Exception, match="feedback"):
        await migrations.upgrade(engine)
    assert (await schema_of(engine))["tables"].keys() == {"feedback"}
    await engine.dispose()


@pytest.mark.parametrize("source", ["option", "variable", "default"])
def test_alembic_command_finds_the_database(tmp_path: Path, source: str) -> None:
    file = tmp_path / ("chatkit.db" if source == "default" else "other.db")
    url = f"sqlite:///{file}"
    environment = {"CHATKIT_DATABASE_URL": url} if source == "variable" else {}
    alembic("upgrade", "head", url=url if source == "option" else None, **environment)
    assert file.exists()


async def test_in_memory_database_migrates_on_its_own_connection() -> None:
    engine = open_engine("sqlite://")
    assert await migrations.upgrade(engine) == REVISIONS
    store: SqlStore[User] = SqlStore(engine)
    await store.save_thread(make_thread(), ALICE)
    assert await migrations.pending(engine) == []
    await engine.dispose()


def test_sql_of_the_migrations_can_be_printed() -> None:
    sql = alembic("upgrade", "head", "--sql", url="postgresql://u@h/d")
    assert "CREATE TABLE thread_items" in sql
    assert "CREATE VIEW messages" in sql
