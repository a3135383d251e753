"""The hosted API, and the command against it, with a database of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from chatkit_server import cli
from tests.conftest import fresh_database
from tests.databases import is_guarded
from tests.importing.hosted_api import KEY, HostedApi, hosted

Command = Callable[..., Awaitable[Result]]


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with the schema: of SQLite, unless a test says otherwise."""
    with fresh_database(request.param, tmp_path, request, with_schema=True) as url:
        yield url


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    """A running API."""
    async with hosted() as api:
        yield api


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, engine: AsyncEngine, api: HostedApi
) -> Command:
    """Run `chatkit-server import` in an empty folder, with the key and the address of the API."""
    monkeypatch.setattr("chatkit_server.startup.import_commands.configure_logging", lambda settings: None)
    monkeypatch.setenv("CHATKIT_DATABASE_URL", database_url)
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CHATKIT_ROW_SECURITY", str(is_guarded(database_url)))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        options = ["--base-url", f"{api.url}/v1", "--requests-per-minute", "1000000"]
        return CliRunner().invoke(cli.app, ["import", *options, *arguments])

    async def run_beside_the_api(*arguments: str) -> Result:
        return await asyncio.to_thread(run, *arguments)

    return run_beside_the_api
