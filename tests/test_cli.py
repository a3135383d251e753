"""`chatkit-server`: every setup error ends with one sentence and exit code 2."""

import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from chatkit_server import cli
from chatkit_store import open_engine
from tests.databases import Postgres

PASSWORD = "very-secret-password"


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the options with which `serve` runs uvicorn, which only creates the app here."""
    calls: list[dict[str, Any]] = []

    def run_uvicorn(app: str, **options: Any) -> None:
        getattr(cli, app.partition(":")[2])()
        calls.append(options)

    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    monkeypatch.setattr(cli, "_tame_garbage_collector", lambda: None)
    monkeypatch.setattr("uvicorn.run", run_uvicorn)
    monkeypatch.setenv("CHATKIT_MODEL", "demo")
    monkeypatch.setenv("CHATKIT_PORT", "0")
    return calls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def is_one_sentence(output: str) -> bool:
    return len(output.strip().splitlines()) == 1 and "Traceback" not in output and PASSWORD not in output


WRONG = [
    ("CHATKIT_CORS_ORIGINS", '["https://app.example"', "CHATKIT_CORS_ORIGINS: must be comma-separated origins"),
    ("CHATKIT_CORS_ORIGINS", '{"a": 1}', 'CHATKIT_CORS_ORIGINS: {"a": 1} is not an origin'),
    (
        "CHATKIT_CORS_ORIGINS",
        "https://app.example/chat",
        "https://app.example/chat is not an origin",
    ),
    ("CHATKIT_DATABASE_URL", f"mysql://user:{PASSWORD}@host/db", "CHATKIT_DATABASE_URL: must be the URL of a SQLite"),
    ("CHATKIT_DATABASE_URL", f"MYSQL://user:{PASSWORD}@host/db", "CHATKIT_DATABASE_URL: must be the URL of a SQLite"),
    ("CHATKIT_DATABASE_URL", f"postgresql://user:{PASSWORD}@host:port/db", "CHATKIT_DATABASE_URL: must be the URL"),
    ("CHATKIT_DATABASE_URL", f"postgres://u:{PASSWORD}@host/db?require_auth=md5", "has the parameter require_auth"),
    ("CHATKIT_DATABASE_URL", f"postgres://u:a/{PASSWORD}@host/db", "CHATKIT_DATABASE_URL: must be the URL"),
    ("CHATKIT_DATABASE_URL", "sqlite://chat.db", "CHATKIT_DATABASE_URL: has two slashes before the file's name"),
    ("CHATKIT_DATABASE_URL", "nonsense", "CHATKIT_DATABASE_URL: must be the URL"),
    ("CHATKIT_DATABASE_URL", f"postgresql://user:{PASSWORD}@127.0.0.1:1/db", "The database does not answer"),
    ("CHATKIT_DATABASE_URL", "sqlite:////nowhere/at/all/chatkit.db", "/nowhere/at/all/chatkit.db cannot be opened: "),
    ("CHATKIT_AUTH", "magic", "CHATKIT_AUTH: magic is not one of none, session, jwt, header"),
    ("CHATKIT_AUTH", "jwt", "CHATKIT_AUTH=jwt needs CHATKIT_JWT_AUDIENCE"),
    ("CHATKIT_HOST", "0.0.0.0", "0.0.0.0 can be reached by others, and CHATKIT_AUTH=none lets everybody"),
    ("CHATKIT_MODEL", "gpt-test", "CHATKIT_MODEL=gpt-test needs an endpoint"),
    ("CHATKIT_DATA_DIR", "/proc/nowhere", "CHATKIT_DATA_DIR=/proc/nowhere cannot be used"),
    ("CHATKIT_TRACING", "true", "CHATKIT_TRACING=true uploads traces to OpenAI, at"),
    ("CHATKIT_AGENT", "nonsense", "must look like package.module:name"),
    ("CHATKIT_MODELS", "[oops", "CHATKIT_MODELS: must be comma-separated names"),
    ("CHATKIT_MODELS", "another", "CHATKIT_MODELS must list CHATKIT_MODEL"),
    ("CHATKIT_PROMPTS", "Hello", "CHATKIT_PROMPTS: must be JSON"),
    ("CHATKIT_AGENT", "{'a': 'b:c'}", "JSON object (Expecting property name enclosed in double quotes at character 2)"),
    ("CHATKIT_MCP_SERVERS", "{oops", "CHATKIT_MCP_SERVERS: must be JSON"),
    ("CHATKIT_MCP_SERVERS", f'{{"x": {{"env": {{"KEY": "{PASSWORD}"}}}}}}', "CHATKIT_MCP_SERVERS.x: needs either a"),
    ("CHATKIT_MODELS", '["a", {"label": "B"}]', "CHATKIT_MODELS[1].id: Field required"),
    ("CHATKIT_TOOLS", '[{"id": "a", "colour": "b"}]', "CHATKIT_TOOLS[0]: has no colour; it takes id, label"),
    ("CHATKIT_TRANSCRIPTION_MODEL", "w", "CHATKIT_TRANSCRIPTION_MODEL needs an endpoint"),
]


@pytest.mark.parametrize(("variable", "value", "words"), WRONG)
def test_a_wrong_setting_ends_serve_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, served: list[dict[str, Any]], variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = run("serve")
    assert (result.exit_code, served) == (2, [])
    assert words in result.stderr
    assert is_one_sentence(result.stderr), result.stderr


@pytest.mark.parametrize(("variable", "value", "words"), WRONG)
def test_a_wrong_setting_ends_the_factory_with_the_same_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        cli.build_app()
    output = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in output
    assert is_one_sentence(output), output


def make_no_database() -> None:
    Path("chat.db").write_text("these are the words of a text file", encoding="utf-8")


def make_foreign() -> None:
    with contextlib.closing(sqlite3.connect("chat.db")) as connection, connection:
        connection.execute("CREATE TABLE threads (id TEXT)")


def make_newer() -> None:
    with contextlib.closing(sqlite3.connect("chat.db")) as connection, connection:
        connection.execute("CREATE TABLE chatkit_alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO chatkit_alembic_version VALUES ('9999')")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_no_database, "chat.db is not a SQLite file. Move it away, or set CHATKIT_DATABASE"),
        (make_foreign, "chat.db has tables that chatkit-server did not create (table threads already exists). Use"),
        (
            make_newer,
            "revision 9999, which this version does not have. Either a newer version migrated it",
        ),
    ],
)
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_an_unusable_sqlite_file_is_named(
    monkeypatch: pytest.MonkeyPatch, command: str, make: Callable[[], None], words: str
) -> None:
    make()
    monkeypatch.setenv("CHATKIT_DATABASE_URL", "sqlite:///chat.db")
    result = run(command)
    assert (result.exit_code, words in result.stderr, is_one_sentence(result.stderr)) == (2, True, True), result.stderr


@pytest.mark.parametrize(
    ("user", "database", "words"),
    [
        ("postgres", "nowhere", " has no database nowhere. Create it, or correct CHATKIT_DATABASE_URL."),
        ("nobody", "postgres", " rejects the user nobody: the role does not exist"),
    ],
)
def test_a_postgresql_that_rejects_us_is_explained(
    monkeypatch: pytest.MonkeyPatch, postgres: Postgres, user: str, database: str, words: str
) -> None:
    monkeypatch.setenv("CHATKIT_DATABASE_URL", f"postgresql://{user}:{PASSWORD}@/{database}?host={postgres.folder}")
    result = run("serve")
    assert result.exit_code == 2
    assert f"PostgreSQL at {postgres.folder}{words}" in result.stderr
    assert is_one_sentence(result.stderr), result.stderr


def test_a_postgresql_with_foreign_tables_is_not_touched(monkeypatch: pytest.MonkeyPatch, postgres: Postgres) -> None:
    with postgres.fresh_database() as url:
        run_sql(url, "CREATE TABLE threads (id text)")
        monkeypatch.setenv("CHATKIT_DATABASE_URL", url)
        result = run("migrate")
    assert 'has tables that chatkit-server did not create (relation "threads" already exists)' in result.stderr
    assert (result.exit_code, is_one_sentence(result.stderr)) == (2, True)


def run_sql(url: str, statement: str) -> None:
    async def execute() -> None:
        engine = open_engine(url)
        async with engine.begin() as connection:
            await connection.execute(text(statement))
        await engine.dispose()

    asyncio.run(execute())


def test_serve_warns_about_a_misspelled_setting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, served: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("CHATKIT_TITELS", "false")
    assert (run("serve").exit_code, len(served)) == (0, 1)
    assert "CHATKIT_TITELS is not a setting and is ignored; did you mean CHATKIT_TITLES?" in caplog.messages


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chat.example"])
def test_serve_without_a_login_refuses_an_address_that_strangers_reach(
    monkeypatch: pytest.MonkeyPatch, served: list[dict[str, Any]], host: str
) -> None:
    result = run("serve", "--host", host)
    assert (result.exit_code, served, is_one_sentence(result.stderr)) == (2, [], True)
    assert result.stderr.startswith(f"chatkit-server: {host} can be reached by others")
    for variable in ("CHATKIT_AUTH=session", "CHATKIT_ALLOW_ANONYMOUS=true", "CHATKIT_HOST=127.0.0.1"):
        assert variable in result.stderr
    assert not Path("chatkit.db").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_serve_without_a_login_is_fine_for_this_machine_only(served: list[dict[str, Any]], host: str) -> None:
    assert (run("serve", "--host", host).exit_code, len(served)) == (0, 1)


def test_serve_listens_anywhere_for_anonymous_visitors_who_are_wanted(
    monkeypatch: pytest.MonkeyPatch, served: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("CHATKIT_ALLOW_ANONYMOUS", "true")
    assert (run("serve", "--host", "0.0.0.0").exit_code, served[0]["host"]) == (0, "0.0.0.0")


def test_production_demands_each_missing_setting_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, served: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("CHATKIT_ENVIRONMENT", "production")
    result = run("serve")
    head, *sentences = result.stderr.splitlines()
    assert (result.exit_code, served) == (2, [])
    assert head == "chatkit-server: CHATKIT_ENVIRONMENT=production is not safe with these settings:"
    assert [sentence.split()[:3] for sentence in sentences] == [
        ["-", "Set", "CHATKIT_SECRETS"],
        ["-", "Set", "CHATKIT_AUTH"],
        ["-", "Set", "CHATKIT_PUBLIC_URL"],
    ]
    assert not Path("chatkit.db").exists()


@pytest.mark.parametrize("command", ["migrate", "prune"])
def test_a_command_that_serves_nobody_needs_no_setting_of_production(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CHATKIT_ENVIRONMENT", "production")
    run("migrate")
    assert run(command).exit_code == 0


def test_serve_in_production_says_what_is_weak(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, served: list[dict[str, Any]]
) -> None:
    run("migrate")
    monkeypatch.setenv("CHATKIT_ENVIRONMENT", "production")
    monkeypatch.setenv("CHATKIT_SECRETS", "x" * 32)
    monkeypatch.setenv("CHATKIT_PUBLIC_URL", "https://chat.example")
    monkeypatch.setenv("CHATKIT_ALLOW_ANONYMOUS", "true")
    assert (run("serve").exit_code, len(served)) == (0, 1)
    assert "CHATKIT_SECRETS has a value that can be guessed" in caplog.text


@pytest.mark.parametrize("command", [("turns", "list"), ("stats",)], ids=" ".join)
def test_a_reserved_command_is_not_available(command: tuple[str, ...]) -> None:
    result = run(*command)
    assert (result.exit_code, result.stderr.strip()) == (2, "This command is not available in this version yet.")
    assert f"  {command[-1]} " not in run(*command[:-1], "--help").stdout


def test_a_port_in_use_ends_serve_with_a_sentence(served: list[dict[str, Any]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert (result.exit_code, served) == (2, [])
    assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another" in result.stderr
    assert is_one_sentence(result.stderr)
    assert run("serve", "--port", str(port)).exit_code == 0


def test_a_foreign_address_ends_serve_with_a_sentence() -> None:
    result = run("serve", "--host", "192.0.2.1")
    assert result.exit_code == 2
    assert is_one_sentence(result.stderr), result.stderr


def test_several_workers_need_postgresql_however_sqlite_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_DATABASE_URL", "SQLITE:///chatkit.db")
    result = run("serve", "--workers", "2")
    assert result.exit_code == 2
    assert "Several workers need PostgreSQL" in result.stderr


def test_serve_migrates_and_starts(served: list[dict[str, Any]]) -> None:
    result = run("serve", "--host", "127.0.0.1")
    assert (result.exit_code, result.output) == (0, "")
    assert [(options["host"], options["port"], options["workers"]) for options in served] == [("127.0.0.1", 0, 1)]
    assert run("migrate").output == "The database is up to date.\n"


def test_uvicorn_prints_the_sentence_without_a_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "CHATKIT_DATABASE_URL": f"mysql://user:{PASSWORD}@host/db"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "chatkit_server.cli:build_app", "--port", "0"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert is_one_sentence(done.stdout + done.stderr), done.stderr
