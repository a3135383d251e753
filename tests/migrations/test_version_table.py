"""The table with the revision: renamed in databases from before 0012, and never taken from another application."""

import asyncio

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore, migrations, open_engine
from tests.migrations.test_migrations import REVISIONS, alembic
from tests.store.factories import ALICE, User, make_thread

OF_ALEMBIC = (
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


async def run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def tables_of(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: inspect(sync).get_table_names())


async def revision_in(engine: AsyncEngine, table: str) -> str | None:
    async with engine.connect() as connection:
        revision: str | None = (await connection.execute(text(f"SELECT version_num FROM {table}"))).scalar_one()
        return revision


@pytest.mark.parametrize("how", ["upgrade", "command"])
async def test_the_table_of_an_older_version_is_renamed_and_its_name_is_free(database_url: str, how: str) -> None:
    await asyncio.to_thread(alembic, "upgrade", "0011", url=database_url)
    engine = open_engine(database_url)
    thread = make_thread(title="kept")
    await SqlStore[User](engine).save_thread(thread, ALICE)
    rename = ["ALTER TABLE chatkit_alembic_version RENAME TO alembic_version"]
    if engine.dialect.name == "postgresql":
        rename.append(
            "ALTER TABLE alembic_version RENAME CONSTRAINT chatkit_alembic_version_pkc TO alembic_version_pkc"
        )
    await run(engine, *rename)
    assert (await migrations.current(engine), await migrations.pending(engine)) == ("0011", REVISIONS[11:])

    if how == "upgrade":
        assert await migrations.upgrade(engine) == REVISIONS[11:]
    else:
        await asyncio.to_thread(alembic, "upgrade", "head", url=database_url)
    assert (await migrations.current(engine), await migrations.pending(engine)) == (migrations.head(), [])
    assert (await SqlStore[User](engine).load_thread(thread.id, ALICE)).title == "kept"
    await run(engine, OF_ALEMBIC)  # as another application's Alembic creates it
    await engine.dispose()


@pytest.mark.parametrize("revision", ["0011", "8c6b1d2f3a4e"])
async def test_the_table_of_another_application_stays(database_url: str, revision: str) -> None:
    engine = open_engine(database_url)
    await run(
        engine, OF_ALEMBIC, f"INSERT INTO alembic_version VALUES ('{revision}')", "CREATE TABLE customers (id TEXT)"
    )
    assert await migrations.current(engine) is None
    await migrations.upgrade(engine)
    assert await migrations.pending(engine) == []
    assert {"alembic_version", "customers", "chatkit_alembic_version"} <= set(await tables_of(engine))
    assert await revision_in(engine, "alembic_version") == revision
    assert await revision_in(engine, "chatkit_alembic_version") == migrations.head()
    await engine.dispose()
