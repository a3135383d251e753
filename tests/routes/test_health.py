"""The health routes and the page, as monitors ask for them."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from sqlalchemy import text

from chatkit_server.routes.health import PROBE_SECONDS
from tests.databases import Postgres
from tests.routes.asgi import call
from tests.serving import Served, Tab, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/stream/health", "/"])
async def test_head_answers_like_get_without_a_body(served: Served, path: str) -> None:
    """`wget --spider` and uptime monitors send HEAD."""
    async with aiohttp.ClientSession() as session:
        async with session.get(served.url + path) as got:
            expected = (got.status, got.headers["content-type"])
        async with session.head(served.url + path) as response:
            assert (response.status, response.headers["content-type"]) == expected
            assert await response.read() == b""
    assert expected[0] == 200


async def test_the_protocol_also_answers_with_a_slash_at_the_end(served: Served, tab: Tab) -> None:
    tab._url += "/"
    reply = await tab.create("Hello")
    assert reply.error is None
    assert reply.text
    assert (await tab.list())["data"]


@pytest.fixture
def _prompt_probes(_patient_probes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit_server.routes.health.PROBE_SECONDS", PROBE_SECONDS)


@pytest.mark.usefixtures("_prompt_probes")
async def test_readiness_answers_at_once_while_all_connections_are_in_use(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, AsyncExitStack() as connections:
        for _ in range(5):
            await connections.enter_async_context(served.services.engine.connect())
        for _ in range(2):
            async with asyncio.timeout(20):  # instead of 30 s
                answer = await call(served.app, "GET", "/readyz")
            assert answer.status == 503
            assert json.loads(answer.body)["message"] == "All 5 connections to the database are in use."
        await connections.aclose()
        await until_ready(served)


@pytest.mark.usefixtures("_prompt_probes")
async def test_readiness_answers_at_once_while_the_database_hangs(tmp_path: Path, postgres: Postgres) -> None:
    with postgres.fresh_database() as url:
        async with serve(tmp_path, database_url=url) as served:
            await until_ready(served)
            pids = await served.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
            stopped = [row["pid"] for row in pids]
            stopped.append(psutil.Process(stopped[0]).ppid())  # the server that would open new connections
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                for _ in range(3):
                    async with asyncio.timeout(20):
                        answer = await call(served.app, "GET", "/readyz")
                    assert answer.status == 503
                    assert "has not answered within" in json.loads(answer.body)["message"]
                    assert (await call(served.app, "GET", "/healthz")).status == 200
                    async with asyncio.timeout(20):
                        health = json.loads((await call(served.app, "GET", "/api/stream/health")).body)
                    assert (health["status"], health["error_rate"]) == ("degraded", None)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            await until_ready(served)


async def test_readiness_misses_tables_and_migrations_and_says_what_to_do(tmp_path: Path, database_url: str) -> None:
    async with serve(tmp_path, database_url=database_url) as served:
        await until_ready(served)
        for statement, words in (
            ("DROP TABLE feedback", "lacks the table(s) feedback"),
            ("UPDATE chatkit_alembic_version SET version_num = '0011'", "Run `chatkit-server migrate`"),
            ("DELETE FROM chatkit_alembic_version", "Run `chatkit-server migrate`"),
            ("DROP TABLE chatkit_alembic_version", "Run `chatkit-server migrate`"),
        ):
            async with served.services.engine.begin() as connection:
                await connection.execute(text(statement))
            answer = await call(served.app, "GET", "/readyz")
            assert (answer.status, words in json.loads(answer.body)["message"]) == (503, True), answer.body
        assert (await call(served.app, "GET", "/healthz")).status == 200


async def test_a_database_that_a_newer_version_has_migrated_is_ready(tmp_path: Path) -> None:
    """Workers of this version serve until those of the newer one have replaced them."""
    async with serve(tmp_path) as served:
        async with served.services.engine.begin() as connection:
            await connection.execute(text("UPDATE chatkit_alembic_version SET version_num = '9999'"))
        assert (await call(served.app, "GET", "/readyz")).status == 200


async def test_health_counts_the_turns_of_the_last_five_minutes(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        async with served.tab() as tab:
            for _ in range(3):
                assert (await tab.create("Hello")).error is None
        body = json.loads((await call(served.app, "GET", "/api/stream/health")).body)
        assert (body["status"], body["error_rate"], body["ended_turns"], body["running_turns"]) == ("ok", 0.0, 3, 0)
        assert body["avg_latency_ms"] >= 0


async def until_ready(served: Served) -> None:
    for _ in range(400):
        if (await call(served.app, "GET", "/readyz")).status == 200:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the server did not become ready")
