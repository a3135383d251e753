"""What an engine sets in PostgreSQL's sessions, directly and behind a real PgBouncer, which shares them."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore, StoreUnavailable, create_schema, migrations, open_engine, row_security
from chatkit_store.schema import VIEWS
from chatkit_store.sessions import sessions_of
from chatkit_store.tables import metadata
from tests.databases import PLAIN_ROLE, Postgres
from tests.store.factories import ALICE, User, make_thread, user_message
from tests.support.managed_postgres import TRUSTING, needs_pgbouncer, run_pgbouncer

LIMITS = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"


@pytest.fixture(scope="module")
def pgbouncer(postgres: Postgres) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode, which has two sessions for each database and role."""
    users = f'"postgres" ""\n"{PLAIN_ROLE}" ""\n'
    with run_pgbouncer(TRUSTING.format(folder=postgres.folder), {"userlist.txt": users}) as port:
        yield port


def through(port: int, url: str, query: str = "") -> str:
    parsed = make_url(url)
    return f"postgres://{parsed.username}@127.0.0.1:{port}/{parsed.database}?{query}"


def seen_by_psql(postgres: Postgres, port: int, url: str) -> list[str]:
    """Return the limits, the search path and the number of named statements of a session that others have used."""
    query = f"{LIMITS}, current_setting('search_path'), (SELECT count(*) FROM pg_prepared_statements WHERE name <> '')"
    psql = [str(postgres.programs / "psql"), "-XAt", "-d", through(port, url), "-c", query]
    return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.strip().split("|")


async def write_and_read(engine: AsyncEngine, times: int) -> None:
    store = SqlStore[User](engine)

    async def converse() -> None:
        thread = make_thread()
        await store.save_thread(thread, ALICE)
        for _ in range(3):
            await store.add_thread_items(thread.id, [user_message(), user_message()], ALICE)
            assert len((await store.load_thread_items(thread.id, None, 2, "asc", ALICE)).data) == 2
            await store.load_threads(5, None, "desc", ALICE)

    await asyncio.gather(*(converse() for _ in range(times)))


@needs_pgbouncer
@pytest.mark.parametrize("query", ["", "pgbouncer=true", "pgbouncer=true&schema=chat&application_name=chat"])
async def test_a_pooler_that_shares_sessions_is_found_and_gets_nothing_that_stays(
    postgres: Postgres, pgbouncer: int, query: str
) -> None:
    with postgres.fresh_database() as url:
        engine = open_engine(through(pgbouncer, url, query))
        assert await migrations.upgrade(engine)
        assert await migrations.pending(engine) == []
        await write_and_read(engine, 12)
        sessions = sessions_of(engine)
        assert sessions is not None
        assert sessions.is_pooled
        async with engine.begin() as connection:
            assert tuple((await connection.execute(text(LIMITS))).one()) == ("1min", "10s")
        await engine.dispose()

        for _ in range(4):  # other applications
            assert seen_by_psql(postgres, pgbouncer, url) == ["0", "0", '"$user", public', "0"]


@needs_pgbouncer
async def test_row_security_in_a_schema_holds_behind_a_pooler(postgres: Postgres, pgbouncer: int) -> None:
    with postgres.guarded_database() as url:  # its tables in `public` stay empty
        engine = open_engine(through(pgbouncer, url), row_security=True, schema="Chat")
        await migrations.upgrade(engine)
        assert len(await row_security.unprotected(engine)) > 10
        await row_security.protect(engine)
        assert await row_security.unprotected(engine) == []
        await write_and_read(engine, 6)
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM messages"))).scalar_one() == 0
            await connection.execute(text("SELECT set_config('chatkit.scope', 'server', true)"))
            assert (await connection.execute(text("SELECT count(*) FROM messages"))).scalar_one() == 36
            assert (await connection.execute(text("SELECT count(*) FROM public.threads"))).scalar_one() == 0
        assert (await row_security.role_of(engine)).name == PLAIN_ROLE
        await engine.dispose()


@needs_pgbouncer
async def test_a_database_behind_a_pooler_may_restart(postgres: Postgres, pgbouncer: int) -> None:
    with postgres.fresh_database(with_schema=True) as url:
        engine = open_engine(through(pgbouncer, url))
        await write_and_read(engine, 2)
        with postgres.stopped():
            pass
        for _ in range(20):
            try:
                await write_and_read(engine, 2)
                break
            except StoreUnavailable:  # what PgBouncer says until it has noticed
                await asyncio.sleep(0.5)
        else:
            pytest.fail("it did not recover")
        await engine.dispose()


async def test_sessions_without_a_pooler_are_set_once(postgres: Postgres) -> None:
    with postgres.fresh_database() as url:
        engine = open_engine(url, pool_size=1, schema="chat")
        await create_schema(engine)
        async with engine.connect() as connection:
            assert tuple((await connection.execute(text(LIMITS))).one()) == ("1min", "10s")
            await connection.rollback()
            assert (await connection.execute(text("SHOW search_path"))).scalar_one() == '"chat"'
        sessions = sessions_of(engine)
        assert sessions is not None
        assert sessions.is_pooled is False
        await engine.dispose()


async def test_two_stores_share_a_database_with_a_foreign_alembic(postgres: Postgres) -> None:
    with postgres.fresh_database() as url:
        for statement in (
            "CREATE TABLE alembic_version (version_num VARCHAR(32))",
            "INSERT INTO alembic_version VALUES ('0003')",
            "CREATE TABLE threads (name TEXT)",
        ):
            postgres.run_sql(statement, str(make_url(url).database))
        engines = [open_engine(url, schema=schema) for schema in ("one", "two")]
        for number, engine in enumerate(engines, 1):
            await migrations.upgrade(engine)
            await write_and_read(engine, number)
        for number, engine in enumerate(engines, 1):
            async with engine.connect() as connection:
                overview = text("SELECT count(*) FROM thread_overview")
                assert (await connection.execute(overview)).scalar_one() == number
            await engine.dispose()
        count = len(metadata.tables) + len(VIEWS) + 1
        assert postgres.run_sql(
            "SELECT table_schema, count(*) FROM information_schema.tables"
            " WHERE table_schema IN ('public', 'one', 'two') GROUP BY 1 ORDER BY 1",
            str(make_url(url).database),
        ).split() == [f"one|{count}", "public|2", f"two|{count}"]
        assert postgres.run_sql("SELECT version_num FROM alembic_version", str(make_url(url).database)) == "0003\n"
