"""PostgreSQL restarts or hangs: no message is lost with a connection that died in the pool."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore, StoreUnavailable, TurnEnd, TurnStore, create_schema, new_id, open_engine
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database
from chatkit_store.migrations import ADVISORY_LOCK
from tests.conftest import checked_out, opened
from tests.databases import Postgres
from tests.store.factories import ALICE, User, assistant_message, make_thread, make_turn, user_message

Store = SqlStore[User]
CONNECTIONS = 4


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """An engine on PostgreSQL only."""
    with postgres.fresh_database() as url:
        async with opened(url) as engine:
            yield engine


@pytest.fixture
async def other(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Another engine on the same database."""
    engine = open_engine(engine.url)
    yield engine
    await engine.dispose()


async def terminate_all(other: AsyncEngine) -> None:
    """Terminate all other connections, like a restart."""
    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    async with other.connect() as connection:
        terminated = await connection.execute(text(f"{terminate} AND pid <> pg_backend_pid()"))
        assert len(terminated.all()) >= CONNECTIONS


async def warm_up(engine: AsyncEngine) -> None:
    """Fill the pool."""
    connections = [await engine.connect() for _ in range(CONNECTIONS)]
    for connection in connections:
        await connection.close()


async def pid_of(engine: AsyncEngine) -> int:
    """Return the server process of the connection that the next call gets."""
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


Call = Callable[[Store, TurnStore, ThreadMetadata, str], Awaitable[object]]

CALLS: dict[str, Call] = {
    "read a thread": lambda s, t, thread, turn: s.load_thread(thread.id, ALICE),
    "read a page": lambda s, t, thread, turn: s.load_thread_items(thread.id, None, 9, "asc", ALICE),
    "read a turn": lambda s, t, thread, turn: t.load(turn, ALICE),
    "write an item": lambda s, t, thread, turn: s.add_thread_item(thread.id, user_message(), ALICE),
    "write items": lambda s, t, thread, turn: s.add_thread_items(
        thread.id, [user_message(), assistant_message()], ALICE
    ),
    "write a thread": lambda s, t, thread, turn: s.save_thread(make_thread(), ALICE),
    "delete a thread": lambda s, t, thread, turn: s.delete_thread(thread.id, ALICE),
    "start": lambda s, t, thread, turn: t.start(make_turn(thread.id), ALICE, items=[user_message()]),
    "finish": lambda s, t, thread, turn: t.finish(turn, TurnEnd("completed"), ALICE, items=[assistant_message()]),
    "finish a plain turn": lambda s, t, thread, turn: t.finish(turn, TurnEnd("completed"), ALICE),
    "adopt": lambda s, t, thread, turn: t.adopt("here"),
}


@pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "later"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_call_survives_connections_that_died_in_the_pool(
    engine: AsyncEngine, other: AsyncEngine, call: Call, pause: float
) -> None:
    store, turns, thread, turn = Store(engine), TurnStore(engine), make_thread(), new_id("turn")
    await turns.start(make_turn(thread.id, id=turn), ALICE, new_thread=thread, items=[user_message()])
    if call is CALLS["start"]:
        await turns.finish(turn, TurnEnd("completed"), ALICE)
    await warm_up(engine)
    await terminate_all(other)
    await asyncio.sleep(pause)
    await call(store, turns, thread, turn)


async def test_concurrent_calls_survive_dead_connections(engine: AsyncEngine, other: AsyncEngine) -> None:
    store, thread = Store(engine), make_thread()
    await store.save_thread(thread, ALICE)
    await warm_up(engine)
    await terminate_all(other)
    items = [user_message(str(n)) for n in range(20)]
    await asyncio.gather(*(store.add_thread_item(thread.id, item, ALICE) for item in items))
    page = await store.load_thread_items(thread.id, None, 100, "asc", ALICE)
    assert sorted(item.id for item in page.data) == sorted(item.id for item in items)


async def test_transaction_that_lost_its_connection_is_retried_once(engine: AsyncEngine) -> None:
    runs: list[int] = []
    await Database(engine).write(lambda c: c.execute(text("CREATE TABLE notes (n int)")), ALL_USERS)

    def insert(connection: Connection) -> int:
        runs.append(len(runs))
        connection.execute(text("INSERT INTO notes VALUES (1)"))
        if len(runs) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return len(runs)

    assert await Database(engine).write(insert, ALL_USERS) == 2
    assert await Database(engine).read(lambda c: c.scalar(text("SELECT count(*) FROM notes")), ALL_USERS) == 1


async def test_connection_lost_at_every_try_raises(engine: AsyncEngine) -> None:
    runs: list[None] = []

    def terminate(connection: Connection) -> None:
        runs.append(None)
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    for call in (Database(engine).read, Database(engine).write):
        runs.clear()
        with pytest.raises(StoreUnavailable):
            await call(terminate, ALL_USERS)
        assert len(runs) == 2


async def test_transaction_lost_during_its_commit_is_not_retried(engine: AsyncEngine) -> None:
    """It may have been committed."""
    statements = [
        "CREATE TABLE notes (n int)",
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION die()",
    ]
    for statement in statements:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    runs: list[None] = []

    def insert(connection: Connection) -> None:
        runs.append(None)
        connection.execute(text("INSERT INTO notes VALUES (1)"))

    with pytest.raises(StoreUnavailable):
        await Database(engine).write(insert, ALL_USERS)
    assert len(runs) == 1


async def test_idle_connection_is_replaced(engine: AsyncEngine) -> None:
    impatient = open_engine(engine.url, idle_seconds=0.3)
    before = await pid_of(impatient)
    assert await pid_of(impatient) == before
    await asyncio.sleep(0.4)
    assert await pid_of(impatient) != before
    await impatient.dispose()


async def test_call_on_a_hanging_connection_times_out(engine: AsyncEngine) -> None:
    await Store(engine).save_thread(make_thread(), ALICE)
    database = Database(engine, call_seconds=0.3)
    for call in (database.read, database.write):
        pid = await pid_of(engine)
        start = monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await call(rename_threads, ALL_USERS)
            assert monotonic() - start < 10
            assert checked_out(engine) == 0
            await call(rename_threads, ALL_USERS)  # on another connection
        finally:
            os.kill(pid, signal.SIGCONT)


def rename_threads(connection: Connection) -> None:
    connection.execute(text("UPDATE threads SET title = 'renamed'"))


async def test_statement_that_waits_for_a_lock_times_out(other: AsyncEngine, engine: AsyncEngine) -> None:
    thread = make_thread()
    await Store(other).save_thread(thread, ALICE)
    impatient = open_engine(engine.url, statement_seconds=1)
    async with other.begin() as connection:
        await connection.execute(text("SELECT * FROM threads FOR UPDATE"))
        with pytest.raises(StoreUnavailable, match="57014"):
            await Store(impatient).add_thread_item(thread.id, user_message(), ALICE)
    await Store(impatient).add_thread_item(thread.id, user_message(), ALICE)
    await impatient.dispose()


async def test_schema_waits_as_long_as_another_worker_migrates(other: AsyncEngine, engine: AsyncEngine) -> None:
    impatient = open_engine(engine.url, statement_seconds=1)
    async with other.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        waiting = asyncio.create_task(create_schema(impatient))
        await asyncio.sleep(1.5)
        assert not waiting.done()
    await waiting
    await impatient.dispose()
