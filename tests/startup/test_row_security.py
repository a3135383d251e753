"""`migrate` creates and removes row-level security; the server starts only where it holds as the settings say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from chatkit_server import Settings, create_app
from chatkit_server.cli import app as command_line
from chatkit_server.errors.setup import SetupError
from chatkit_server.startup.doctor.database_findings import examine_database
from chatkit_server.startup.schema import open_database, prepare_schema
from chatkit_store.row_security import CONDITIONS, protected
from tests.databases import Postgres
from tests.serving import make_settings


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database with row-level security."""
    with postgres.guarded_database() as url:
        yield url


async def start(settings: Settings) -> str | None:
    """Prepare the schema as the server does when it starts; return the sentence of a refusal."""
    engine = open_database(settings)
    try:
        await prepare_schema(engine, settings)
    except SetupError as error:
        return str(error)
    finally:
        await engine.dispose()
    return None


async def finding(settings: Settings) -> tuple[str, str]:
    """Return what `doctor` says of the database."""
    found = await examine_database(services := create_app(settings).state.services)
    await services.engine.dispose()
    return found.mark, found.text


def migrate(monkeypatch: pytest.MonkeyPatch, url: str, *, row_security: bool) -> str:
    monkeypatch.setenv("CHATKIT_DATABASE_URL", url)
    monkeypatch.setenv("CHATKIT_ROW_SECURITY", str(row_security))
    result = CliRunner().invoke(command_line, ["migrate"])
    assert result.exit_code == 0
    return result.stdout


def test_migrate_says_what_it_did(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    is_current = "The database is up to date.\n"
    removed, added = f"from {len(CONDITIONS)} tables.\n", f"to {len(CONDITIONS) + 3} table(s) and view(s).\n"
    assert migrate(monkeypatch, url, row_security=True) == is_current
    assert migrate(monkeypatch, url, row_security=False) == f"{is_current}Removed row-level security {removed}"
    assert migrate(monkeypatch, url, row_security=False) == is_current
    assert migrate(monkeypatch, url, row_security=True) == f"{is_current}Added row-level security {added}"


async def test_a_server_without_it_does_not_start_on_a_database_that_has_it(url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, database_url=url)
    refusal = await start(settings)
    assert refusal is not None
    assert refusal.startswith("The database has row-level security, so a server without it sees no rows.")
    assert await finding(settings) == ("WRONG", refusal)


async def test_a_missing_policy_is_added_in_development_and_refused_in_production(url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, database_url=url, row_security=True)
    assert await start(settings) is None
    assert await finding(settings) == ("ok", "postgresql, up to date, with row-level security")
    engine = open_database(settings)
    async with engine.begin() as connection:
        await connection.execute(text("DROP POLICY chatkit_owner ON turns"))
    in_production = settings.model_copy(update={"environment": "production"})
    refusal = await start(in_production)
    assert refusal == "1 table(s) and view(s) lack row-level security. Run `chatkit-server migrate`, then start again."
    assert await finding(settings) == ("WRONG", refusal)
    assert await start(settings) is None
    assert sorted(await protected(engine)) == sorted(CONDITIONS)
    await engine.dispose()


@pytest.mark.parametrize(
    ("role", "attributes"), [("postgres", ""), ("reader_of_all", "NOSUPERUSER BYPASSRLS IN ROLE plain")]
)
async def test_a_role_that_policies_do_not_bind_is_refused(
    postgres: Postgres, url: str, role: str, attributes: str, tmp_path: Path
) -> None:
    if attributes:
        postgres.create_role(role, attributes)
    settings = make_settings(tmp_path, database_url=url.replace("plain@", f"{role}@"), row_security=True)
    refusal = await start(settings)
    assert refusal is not None
    assert f"The database role {role} is a superuser or has BYPASSRLS" in refusal


@pytest.mark.parametrize("values", [{}, {"environment": "production"}])
def test_sqlite_cannot_have_it(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"SQLite has no row-level security\. Set CHATKIT_DATABASE_URL"):
        open_database(make_settings(tmp_path, row_security=True, **values))
