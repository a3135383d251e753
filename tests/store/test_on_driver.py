"""The statements of plain turns on PostgreSQL run on its driver; SQLAlchemy gets them where that would matter."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore, TurnEnd, TurnStore, create_schema, database, open_engine
from tests.databases import Postgres
from tests.statements import counted
from tests.store.factories import ALICE
from tests.store.test_at_once import Conversation


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """An engine on PostgreSQL with one connection."""
    with postgres.fresh_database() as url:
        engine = open_engine(url, pool_size=1)
        await create_schema(engine)
        yield engine
        await engine.dispose()


@pytest.fixture
def conversation(engine: AsyncEngine) -> Conversation:
    """The turns of a thread."""
    return Conversation(SqlStore(engine), TurnStore(engine))


@pytest.fixture
def on_driver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the driver has run without SQLAlchemy."""
    statements: list[str] = []
    original = database._on_driver

    def run(connection: Any, statement: Any, values: Any) -> Any:
        rows = original(connection, statement, values)
        statements.append(str(statement))
        return rows

    monkeypatch.setattr(database, "_on_driver", run)
    return statements


async def test_plain_turns_run_on_the_driver(conversation: Conversation, on_driver: list[str]) -> None:
    for step in (conversation.start, conversation.add, conversation.finish, conversation.start_again):
        await step()
    assert len(on_driver) == 4


async def test_a_listener_of_statements_sees_those_of_plain_turns(
    conversation: Conversation, engine: AsyncEngine, on_driver: list[str]
) -> None:
    """As monitoring tools do."""
    with counted(engine) as statements:
        await conversation.start()
    assert (len(statements), on_driver) == (1, [])


async def test_what_fails_on_the_driver_runs_on_sqlalchemy(
    conversation: Conversation, engine: AsyncEngine, on_driver: list[str]
) -> None:
    await conversation.start()
    async with engine.connect() as connection:  # the plan of the driver's statement is lost
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("DEALLOCATE ALL")
    again = Conversation(conversation.store, conversation.turns)
    await again.start()
    assert len(on_driver) == 1
    await again.add()
    await Conversation(conversation.store, conversation.turns).start()
    assert len(on_driver) == 3


async def test_a_connection_that_is_lost_while_a_turn_ends_is_replaced(
    conversation: Conversation, engine: AsyncEngine, on_driver: list[str]
) -> None:
    await conversation.start()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SEQUENCE deaths"))  # no transaction takes its numbers back
        await connection.execute(text(_DIE))
        await connection.execute(text(_DIE_ONCE))
    assert await conversation.turns.finish(conversation.first.id, TurnEnd("completed"), ALICE, worker_id="worker")
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT is_called FROM deaths"))).scalar_one()
    assert len(on_driver) == 2  # on the next connection again
    assert (await conversation.turns.load(conversation.first.id, ALICE)).status == "completed"


async def test_a_name_whose_reply_is_lost_after_the_commit_is_returned(
    conversation: Conversation, on_driver: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise nobody would be shown the title that the thread has now."""
    await conversation.start()
    run = database._on_driver

    def lose(connection: Any, statement: Any, values: Any) -> Any:
        monkeypatch.setattr(database, "_on_driver", run)
        run(connection, statement, values)
        connection.connection.driver_connection.terminate()
        raise ConnectionResetError

    monkeypatch.setattr(database, "_on_driver", lose)
    named = await conversation.store.name_thread(conversation.thread.id, "Coffee", ALICE, instead_of="Tea")
    assert named is not None
    assert named.title == "Coffee"
    assert len(on_driver) == 3, "start, name, and name again"


_DIE = """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT last_value FROM deaths) = 1 AND NOT (SELECT is_called FROM deaths) THEN
        PERFORM nextval('deaths'); PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1);
    END IF; RETURN NEW; END $$"""
_DIE_ONCE = "CREATE TRIGGER dies BEFORE UPDATE ON turns FOR EACH ROW EXECUTE FUNCTION die()"
