"""`chatkit-server`: whatever is wrong with the set-up ends with one sentence and exit code 2."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chatkit_server import cli

PASSWORD = "very-secret-password"


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `serve` asks of uvicorn, which makes the app here and then ends."""
    asked: list[dict[str, Any]] = []

    def run_uvicorn(app: str, **options: Any) -> None:
        getattr(cli, app.partition(":")[2])()
        asked.append(options)

    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    monkeypatch.setattr(cli, "_tame_garbage_collector", lambda: None)
    monkeypatch.setattr("uvicorn.run", run_uvicorn)
    monkeypatch.setenv("CHATKIT_MODEL", "demo")
    monkeypatch.setenv("CHATKIT_PORT", "0")
    return asked


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def is_one_sentence(text: str) -> bool:
    return len(text.strip().splitlines()) == 1 and "Traceback" not in text and PASSWORD not in text


WRONG = [
    ("CHATKIT_CORS_ORIGINS", '["https://app.example"', "CHATKIT_CORS_ORIGINS: must be origins with commas"),
    ("CHATKIT_CORS_ORIGINS", '{"a": 1}', 'CHATKIT_CORS_ORIGINS: {"a": 1} is no origin'),
    ("CHATKIT_CORS_ORIGINS", "https://app.example/chat", "CHATKIT_CORS_ORIGINS: https://app.example/chat is no origin"),
    ("CHATKIT_DATABASE_URL", f"mysql://user:{PASSWORD}@host/db", "CHATKIT_DATABASE_URL: must be the URL of a SQLite"),
    ("CHATKIT_DATABASE_URL", f"MYSQL://user:{PASSWORD}@host/db", "CHATKIT_DATABASE_URL: must be the URL of a SQLite"),
    ("CHATKIT_DATABASE_URL", f"postgresql://user:{PASSWORD}@host:port/db", "CHATKIT_DATABASE_URL: must be the URL"),
    ("CHATKIT_DATABASE_URL", "nonsense", "CHATKIT_DATABASE_URL: must be the URL"),
    ("CHATKIT_DATABASE_URL", f"postgresql://user:{PASSWORD}@127.0.0.1:1/db", "The database does not answer"),
    ("CHATKIT_DATABASE_URL", "sqlite:////nowhere/at/all/chatkit.db", "The database"),
    ("CHATKIT_AUTH", "magic", "CHATKIT_AUTH: Input should be 'none'"),
    ("CHATKIT_AUTH", "jwt", "CHATKIT_AUTH=jwt is not available"),
    ("CHATKIT_ENVIRONMENT", "production", "CHATKIT_SECRET must be set in production"),
    ("CHATKIT_MODEL", "gpt-test", "CHATKIT_MODEL=gpt-test needs an endpoint"),
    ("CHATKIT_DATA_DIR", "/proc/nowhere", "CHATKIT_DATA_DIR=/proc/nowhere cannot be used"),
    ("CHATKIT_TRACING", "true", "CHATKIT_TRACING=true uploads traces to OpenAI, but"),
    ("CHATKIT_AGENT", "nonsense", "must look like package.module:name"),
    ("CHATKIT_MODELS", "[oops", "CHATKIT_MODELS: must be names with commas"),
    ("CHATKIT_MODELS", "another", "CHATKIT_MODELS must list CHATKIT_MODEL"),
    ("CHATKIT_PROMPTS", "Hello", "CHATKIT_PROMPTS: must be JSON"),
    ("CHATKIT_MCP_SERVERS", "{oops", "CHATKIT_MCP_SERVERS: must be JSON"),
    ("CHATKIT_MCP_SERVERS", f'{{"x": {{"env": {{"KEY": "{PASSWORD}"}}}}}}', "needs either a command or a url"),
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
def test_a_wrong_setting_ends_the_factory_with_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        cli.build_app()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in told
    assert is_one_sentence(told), told


def test_a_port_in_use_ends_serve_with_a_sentence(served: list[dict[str, Any]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert (result.exit_code, served) == (2, [])
    assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another" in result.stderr
    assert is_one_sentence(result.stderr)
    assert run("serve", "--port", str(port)).exit_code == 0


def test_an_address_that_is_not_ours_ends_serve_with_a_sentence() -> None:
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


def test_uvicorn_itself_says_the_sentence_and_shows_no_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "CHATKIT_DATABASE_URL": f"mysql://user:{PASSWORD}@host/db"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "chatkit_server.cli:build_app", "--port", "0"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert is_one_sentence(done.stdout + done.stderr), done.stderr
