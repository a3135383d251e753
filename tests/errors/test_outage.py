"""During a database outage, the log has its cause once, a reminder per minute, and its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import make_url, text

from chatkit_server.errors.outage import Outage
from chatkit_store import StoreUnavailable, open_engine
from tests.databases import Postgres
from tests.serving import Served, serve
from tests.support.chatkit import user_input
from tests.support.logs import messages_of


@contextlib.asynccontextmanager
async def away(postgres: Postgres, url: str) -> AsyncIterator[None]:
    """Make the database reject connections, and close the open ones."""
    name, engine = make_url(url).database, open_engine(postgres.url("postgres"))

    async def execute(statement: str) -> None:
        async with engine.connect() as connection:
            at_once = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await at_once.execute(text(statement))

    await execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        await execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await engine.dispose()


async def wait_for_log(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until the log contains `words`."""
    for _ in range(1000):
        if words in caplog.text:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(words)


async def ready(served: Served) -> tuple[int, str]:
    """Return status and message of `/readyz`."""
    async with aiohttp.ClientSession(served.url) as http, http.get("/readyz") as response:
        return response.status, (await response.json()).get("message", "")


async def test_the_log_has_the_cause_of_an_outage_once_and_its_end(
    tmp_path: Path, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres.fresh_database() as url:
        async with (
            serve(tmp_path, database_url=url, heartbeat_seconds=0.05, demo_tokens_per_second=50) as served,
            served.tab() as tab,
        ):
            async with tab.open("threads.create", {"input": user_input("long")}) as reply:  # the journal fails, too
                await reply.wait_for("thread.item.added")
                async with away(postgres, url):
                    await wait_for_log(caplog, "the database is unreachable")
                    for _ in range(10):  # while heartbeats fail without being logged
                        status, message = await ready(served)
                        refused = await tab.post("threads.list", {"limit": 9})
                        assert (status, refused.status) == (503, 503)
                await wait_for_log(caplog, "the database is back")
            assert (await ready(served))[0] == 200
    assert message == (
        "The database accepts no connections. The server's log says more, and so does `chatkit-server doctor`."
    )
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("chatkit_server")]
    assert len([line for line in lines if "Traceback" in line]) == 1
    assert len([line for line in lines if "database is unreachable" in line or "database is back" in line]) == 2
    assert messages_of(caplog, refused.headers["x-request-id"]) == [
        "the database is not available (The database cannot serve this now: ObjectNotInPrerequisiteStateError 55000)"
    ]


def test_an_outage_ends_if_the_journal_has_nothing_left_to_write(caplog: pytest.LogCaptureFixture) -> None:
    now, gone = [1000.0], StoreUnavailable("The database does not answer")
    outage = Outage(lambda: now[0])
    outage.failed("the journal", gone)
    now[0] += 5
    outage.worked("the heartbeat")  # the outage lasts until the journal, which retries, has succeeded, too
    now[0] += 30
    outage.worked("the heartbeat")
    assert caplog.messages[1:] == ["the database is back after 35 s"]


def test_a_long_outage_is_logged_every_minute(caplog: pytest.LogCaptureFixture) -> None:
    now, gone = [1000.0], StoreUnavailable("The database does not answer")
    outage = Outage(lambda: now[0])
    for _ in range(25):
        outage.failed("the heartbeat", gone)
        outage.failed("the journal", gone)
        now[0] += 5
    outage.worked("the heartbeat")
    outage.worked("the journal")
    outage.worked("the journal")
    assert [line.partition("\n")[0] for line in caplog.messages] == [
        "the database is unreachable: the heartbeat failed, retrying",
        "the database has been unreachable for 60 s: the heartbeat failed (The database does not answer)",
        "the database has been unreachable for 120 s: the heartbeat failed (The database does not answer)",
        "the database is back after 125 s",
    ]
