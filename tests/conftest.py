"""Fixtures for all tests: a clean environment, request ids in `caplog`, and the databases.

`database_url` is a fresh database without a schema, unless the test also uses `engine`, an engine on it; a test that
uses either runs once per database. `postgres` is the server itself, started for the first test that uses it.
"""

import contextlib
import functools
import gc
import os
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpcore2
import hypothesis
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

with warnings.catch_warnings():  # chatkit deprecates its widget classes while it defines them (1.6.5)
    warnings.simplefilter("ignore", DeprecationWarning)
    import chatkit.types  # noqa: F401 - imported once here, with warnings off

from chatkit_server.startup import warm_up
from chatkit_server.startup.logs import RequestIdFilter
from chatkit_store import create_schema, open_engine
from chatkit_store.database import in_use
from tests.databases import Postgres, copy_sqlite, is_guarded, run_postgres

# How long an example takes depends on the machine and what else it does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

DATABASES = ("sqlite", "postgresql")
GUARDED = "postgresql guarded"
"""PostgreSQL with row-level security, for a role to which it applies."""
also_guarded = pytest.mark.parametrize("database_url", [*DATABASES, GUARDED], indirect=True)
"""Runs a test on this one as well."""
LONGEST = (
    *("tests/workers/", "tests/conformance/", "tests/repository/test_install_walk.py"),
    *("tests/startup/test_doctor.py", "tests/models/test_embedded.py"),
)
"""Where the longest files are: they start first, so that no process ends long after the others."""

# Each app of a test makes a context of its own, and loading the certificates takes as long as many tests.
httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)
# A warm-up takes as long as well, blocks the event loop in the middle of a test, and is of use to none.
warm_up.DELAY_SECONDS = 3600.0


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector, and spare it what is there then: it would look again and again through all
    modules and tests, of which none ever goes.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run on PostgreSQL, and put the longest files first."""
    for item in items:
        values = (
            item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
        )
        if "postgresql" in values or GUARDED in values or "postgres" in getattr(item, "fixturenames", ()):
            item.add_marker("postgresql")
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the settings, keys and `.env` file of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith(("CHATKIT_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _patient_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `/readyz` wait for a database that is only slow, as it may be on a busy machine."""
    monkeypatch.setattr("chatkit_server.routes.health.PROBE_SECONDS", 10.0)


@pytest.fixture(autouse=True)
def _request_ids(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Add the `request_id` to every record in `caplog`, as in the server's log."""
    with caplog.filtering(RequestIdFilter()):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Yield a PostgreSQL server for the whole session."""
    with run_postgres() as server:
        yield server


@contextlib.contextmanager
def fresh_database(
    kind: str, folder: Path, request: pytest.FixtureRequest, *, with_schema: bool = False
) -> Iterator[str]:
    """Yield the URL of a new database of a kind; for fixtures of any scope."""
    if kind == "sqlite":
        if with_schema:
            copy_sqlite(folder / "test.db")
        yield f"sqlite:///{folder / 'test.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.guarded_database() if kind == GUARDED else server.fresh_database(with_schema=with_schema) as url:
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a fresh database, with a schema only if the test uses `engine`."""
    with fresh_database(request.param, tmp_path, request, with_schema="engine" in request.fixturenames) as url:
        yield url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Yield a fresh database with the schema. The test fails if it leaves a connection checked out."""
    async with opened(database_url, has_schema=True) as engine:
        yield engine


@contextlib.asynccontextmanager
async def opened(url: str, *, has_schema: bool = False) -> AsyncIterator[AsyncEngine]:
    """Yield an engine with the schema; afterwards, check that all connections are back in the pool, and close it."""
    engine = open_engine(url, row_security=is_guarded(url))
    try:
        if not has_schema:
            await create_schema(engine)
        yield engine
        assert checked_out(engine) == 0, "a connection is still checked out"
    finally:
        await engine.dispose()


def checked_out(engine: AsyncEngine) -> int:
    """Return how many connections are in use, including those of the store's threads."""
    return in_use(engine)
