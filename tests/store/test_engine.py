import asyncio
import logging
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SchemaOutdated, SqlStore, StoreUnavailable, create_schema, open_engine
from chatkit_store.engine import open_threaded
from tests.store.factories import ALICE, User, make_thread, text_of, user_message


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///x.db", "aiosqlite"),
        ("sqlite+aiosqlite:///x.db", "aiosqlite"),
        ("sqlite+pysqlite:///x.db", "aiosqlite"),
        ("postgresql://u:p@h/d", "asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "asyncpg"),
        ("postgresql+psycopg://u:p@h/d", "asyncpg"),
        ("postgres://u:p@h/d", "asyncpg"),
    ],
)
def test_url_gets_its_asynchronous_driver(url: str, driver: str) -> None:
    assert open_engine(url).dialect.driver == driver


def test_unsupported_database_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mysql"):
        open_engine("mysql://u@h/d")


async def test_in_memory_database_serves_a_conversation() -> None:
    engine = open_engine("sqlite://")
    await create_schema(engine)
    store: SqlStore[User] = SqlStore(engine)
    thread = make_thread()
    await store.save_thread(thread, ALICE)
    await store.add_thread_items(thread.id, [user_message(str(n)) for n in range(3)], ALICE)
    page = await store.load_thread_items(thread.id, None, 10, "asc", ALICE)
    assert [text_of(item) for item in page.data] == ["0", "1", "2"]
    await engine.dispose()


async def test_sqlite_file_is_configured_for_one_writer_and_many_readers(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    async with engine.connect() as connection:
        values = [(await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in PRAGMAS]
    assert dict(zip(PRAGMAS, values, strict=True)) == PRAGMAS
    await engine.dispose()


async def test_threads_configure_the_file_alike(tmp_path: Path) -> None:
    engine = open_threaded(open_engine(f"sqlite:///{tmp_path / 'x.db'}").url, 2)
    with engine.connect() as connection:
        values = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in PRAGMAS]
    assert dict(zip(PRAGMAS, values, strict=True)) == PRAGMAS
    engine.dispose()


PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 75000}


async def test_database_without_schema_raises_with_advice_to_migrate(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(SchemaOutdated, match="migrate") as raised:
        await SqlStore[User](engine).load_thread("thr_1", ALICE)
    assert raised.value.__cause__ is not None
    await engine.dispose()


@pytest.mark.parametrize(
    "url", ["postgresql://u@127.0.0.1:1/d", "postgresql://u@/d?host=/nowhere", "sqlite:////nowhere/at/all.db"]
)
async def test_database_that_does_not_answer_is_unavailable(url: str) -> None:
    engine = open_engine(url)
    with pytest.raises(StoreUnavailable) as raised:
        await SqlStore[User](engine).load_thread("thr_1", ALICE)
    assert raised.value.__cause__ is not None
    await engine.dispose()
    # aiosqlite 0.22 does not wait for the thread of a failed connection, and a thread sets no asyncio.Event.
    while any("_connection_worker" in thread.name for thread in threading.enumerate()):  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.01)


async def test_database_locked_by_another_process_is_unavailable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}?timeout=0.05"
    engine, other = open_engine(url), open_engine(url)
    await create_schema(engine)
    async with other.connect() as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            await SqlStore[User](engine).save_thread(make_thread(), ALICE)
    await SqlStore[User](engine).save_thread(make_thread(), ALICE)
    await engine.dispose()
    await other.dispose()


async def test_create_schema_twice_changes_nothing(engine: AsyncEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    store: SqlStore[User] = SqlStore(engine)
    thread = make_thread(title="kept")
    await store.save_thread(thread, ALICE)
    await create_schema(engine)
    assert (await store.load_thread(thread.id, ALICE)).title == "kept"
    assert not caplog.records


def test_engine_serves_successive_event_loops() -> None:
    engine = open_engine("sqlite://")
    asyncio.run(_save_some(engine))
    asyncio.run(_save_some(engine))
    asyncio.run(engine.dispose())


async def _save_some(engine: AsyncEngine) -> None:
    await create_schema(engine)
    store: SqlStore[User] = SqlStore(engine)
    await asyncio.gather(*(store.save_thread(make_thread(), ALICE) for _ in range(5)))
