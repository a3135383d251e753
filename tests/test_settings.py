"""Settings: their sources, invalid values, and the example file; and that the log redacts their secrets."""

import ast
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types
from pydantic import ValidationError
from typer.testing import CliRunner

import chatkit_server
import chatkit_store
from chatkit_server import Settings
from chatkit_server.cli import app
from chatkit_server.settings import json_schema, unknown_settings
from chatkit_server.startup.logs import configure_logging, log_handler
from tests.serving import serve
from tests.support.openai_answers import INVALID_API_KEY, Answer
from tests.support.openai_server import OpenAIServer

ROOT = Path(__file__).parents[1]
SECRET = "0123456789abcdef0123456789abcdef"


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    printed = CliRunner().invoke(app, ["settings"]).output
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == printed, "run `make env-example`"


def test_the_schema_is_published_as_the_command_prints_it() -> None:
    printed = CliRunner().invoke(app, ["settings", "--json-schema"]).output
    assert (ROOT / "docs/settings.schema.json").read_text(encoding="utf-8") == printed, "run `make env-example`"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(json_schema())
    return Draft202012Validator(json_schema())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("CHATKIT_PORT", 8000), ("CHATKIT_PORT", "8000"), ("CHATKIT_TITLES", "true"), ("CHATKIT_TITLES", False)),
        *(("CHATKIT_AUTH", "session,none"), ("CHATKIT_AUTH", ["session"]), ("OPENAI_API_KEY", "sk-1")),
        *(("CHATKIT_PROMPTS", [{"label": "Hi", "prompt": "Hello"}]), ("CHATKIT_SECRET", "x" * 32), ("MY_OWN", 1)),
    ],
)
def test_the_schema_accepts_what_the_settings_accept(schema: Draft202012Validator, name: str, value: Any) -> None:
    schema.validate({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("CHATKIT_PRT", 8000), ("CHATKIT_PORT", 70000), ("CHATKIT_PORT", "many"), ("CHATKIT_TITLES", "perhaps")),
        *(("CHATKIT_ENVIRONMENT", "staging"), ("CHATKIT_PROMPTS", [{"prompt": 1}]), ("CHATKIT_LOG_LEVEL", 1)),
    ],
)
def test_the_schema_refuses_typing_errors(schema: Draft202012Validator, name: str, value: Any) -> None:
    assert not schema.is_valid({name: value})


def test_every_setting_has_a_description() -> None:
    wrong = [
        name for name, field in Settings.model_fields.items() if not (field.description or "").rstrip().endswith(".")
    ]
    assert wrong == []


def test_without_an_environment_the_defaults_apply() -> None:
    settings = Settings()
    assert (settings.environment, settings.auth, settings.database_url) == (
        "development",
        ["none"],
        "sqlite:///chatkit.db",
    )
    assert (settings.tracing, settings.openai_api_key, settings.model) == (False, None, None)


def test_arguments_take_precedence_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CHATKIT_PORT=1\nCHATKIT_HOST=file\nCHATKIT_MODEL=file\nUNKNOWN=x\n", encoding="utf-8")
    monkeypatch.setenv("CHATKIT_PORT", "2")
    monkeypatch.setenv("CHATKIT_HOST", "environment")
    settings = Settings(port=3)
    assert (settings.port, settings.host, settings.model) == (3, "environment", "file")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("databse_url", "Settings has no databse_url; did you mean database_url?"),
        ("CHATKIT_MODLE", "Settings has no CHATKIT_MODLE; did you mean model?"),
        ("secret", "Settings has no secret; did you mean secrets?"),
        ("xyzzy", "Settings has no xyzzy."),
    ],
)
def test_an_argument_that_is_no_setting_is_refused(name: str, words: str) -> None:
    arguments: dict[str, Any] = {name: "x"}
    with pytest.raises(TypeError) as failure:
        Settings(**arguments)
    assert str(failure.value) == words


def test_arguments_may_have_the_names_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CHATKIT_PRT=1\nUNKNOWN=x\n", encoding="utf-8")  # the file may have other lines
    arguments: dict[str, Any] = {"CHATKIT_SECRET": SECRET, "port": 3}
    settings = Settings(**arguments)
    assert (settings.secrets[0].get_secret_value(), settings.port) == (SECRET, 3)


def test_unknown_settings_are_reported_with_the_most_similar_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CHATKIT_PRT=1\nCHATKIT_BASE_URL=http://x\nPRT=1\n", encoding="utf-8")
    monkeypatch.setenv("CHATKIT_HOTS", "x")
    monkeypatch.setenv("CHATKIT_PORT", "1")
    monkeypatch.setenv("chatkit_host", "x")
    assert unknown_settings() == [
        "CHATKIT_HOTS is not a setting and is ignored; did you mean CHATKIT_HOST?",
        "CHATKIT_PRT in .env is not a setting and is ignored; did you mean CHATKIT_PORT?",
    ]


def test_every_setting_of_the_example_is_known() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    Path(".env").write_text(re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE), encoding="utf-8")
    assert unknown_settings() == []


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHATKIT_MODEL", "OPENAI_API_KEY", "CHATKIT_SECRETS", "CHATKIT_PORT", "CHATKIT_CORS_ORIGINS"):
        monkeypatch.setenv(name, "")
    assert Settings() == Settings(_env_file=None)
    assert Settings().openai_api_key is None


def test_the_key_and_lists_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("CHATKIT_CORS_ORIGINS", '["https://app.example"]')
    settings = Settings()
    assert settings.openai_api_key is not None
    assert (settings.openai_api_key.get_secret_value(), settings.cors_origins) == ("sk-1", ["https://app.example"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"secrets": "short and secret"}, "at least 32 characters"),
        ({"environment": "staging"}, "environment"),
        ({"port": 70000}, "port"),
        ({"model_timeout": 0}, "model_timeout"),
        ({"max_turns": 0}, "max_turns"),
        ({"api": "grpc"}, "api"),
        ({"auth": "magic"}, "auth"),
        ({"ping_seconds": 0}, "ping_seconds"),
        ({"max_body_bytes": 1}, "max_body_bytes"),
        ({"log_level": "LOUD"}, "log_level"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_invalid_value_is_refused_and_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Settings(**values)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://x", ["https://x"]),
        ("https://x/, https://y:8443,", ["https://x", "https://y:8443"]),
        ("*", ["*"]),
        (' ["https://x"] ', ["https://x"]),
        ("[]", []),
    ],
)
def test_origins_are_comma_separated_or_json(monkeypatch: pytest.MonkeyPatch, written: str, read: list[str]) -> None:
    monkeypatch.setenv("CHATKIT_CORS_ORIGINS", written)
    assert Settings().cors_origins == read


@pytest.mark.parametrize("url", ["mysql://u/x", "MySQL://u/x", "nonsense", "postgresql://host:port/x", ""])
def test_an_invalid_database_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError, match="must be the URL of a SQLite or PostgreSQL database") as refused:
        Settings(database_url=url.replace("u/", "user:the-password@u/"))
    assert "the-password" not in str(refused.value)


def test_the_scheme_of_a_database_url_may_be_upper_case() -> None:
    assert Settings(database_url="SQLITE:///Chat.db").database_url == "sqlite:///Chat.db"


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(secrets="short-secret")
    assert "short-secret" not in str(refused.value)


def test_secrets_do_not_show_in_any_representation() -> None:
    settings = Settings(secrets=SECRET, openai_api_key="sk-very-secret", environment="production")
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert SECRET not in text
        assert "sk-very-secret" not in text


def test_the_databases_password_does_not_show_in_any_representation() -> None:
    settings = Settings(database_url="postgresql://user:the-password@host/chat")
    assert "the-password" not in repr(settings) + str(settings)


def test_one_file_reads_the_environment() -> None:
    readers = {
        f"{path.parent.name}/{path.name}"
        for package in (chatkit_server, chatkit_store)
        for path in Path(str(package.__file__)).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers == {"settings/working_directory.py"}


# Logging


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Restore the process's logging after the test."""
    root = logging.getLogger()
    loggers = [
        root,
        *(logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)),
    ]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    handlers = root.handlers[:]
    root.handlers.clear()  # `configure_logging` closes those it finds, and pytest still needs its own
    yield
    for logger, level, own_handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = own_handlers
    root.handlers[:] = handlers


def test_secrets_are_redacted_in_text_arguments_and_traceback() -> None:
    stream = io.StringIO()
    try:
        raise ValueError(f"refused: {SECRET}")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    log_handler([SECRET], stream).handle(logging.LogRecord("x", logging.INFO, "", 0, "with %s", (SECRET,), info))
    line = stream.getvalue()
    assert SECRET not in line
    assert line.count("***") == 2


@pytest.mark.usefixtures("logging_restored")
def test_secrets_of_the_settings_are_redacted_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    servers = {
        "crm": {"url": "https://crm.example/mcp", "headers": {"Authorization": "Bearer crm-token", "X-Empty": ""}},
        "files": {"command": "mcp-files", "env": {"FILES_KEY": "files-key", "DEBUG": "1"}},
    }
    secrets = {
        "openai_api_key": "sk-of-the-model",
        "transcription_api_key": "sk-of-the-model-for-dictation",
        "secrets": "cookie" * 6,
        "s3_access_key_id": "s3-key-id",
        "s3_secret_access_key": "s3-secret",
    }
    configure_logging(Settings(mcp_servers=servers, **secrets))  # type: ignore[arg-type]  # pydantic reads them
    for secret in (*secrets.values(), "crm-token", "files-key"):
        logging.getLogger("anyone").warning("refused %s at 11:11", secret)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines] == ["refused *** at 11:11"] * 7


@pytest.mark.usefixtures("logging_restored")
def test_secrets_in_urls_of_the_settings_are_redacted_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    urls: dict[str, Any] = {
        "database_url": "postgresql://postgres:database%40pass@db.example/chat",
        "base_url": "https://gateway-token@models.example/v1",
        "transcription_base_url": "https://user:ears@pass@ears.example/v1",
        "s3_endpoint": "https://user:s3-pass@s3.example",
        "mcp_servers": {
            "crm": {"url": "https://crm.example/mcp?api_key=crm%2Bkey%2Fa&empty=#part"},
            "files": {"command": "mcp-files", "args": ["postgresql://user:files/pass@db.example/files"]},
        },
    }
    configure_logging(Settings(**urls))
    as_written = ["database%40pass", "gateway-token", "ears@pass", "s3-pass", "crm%2Bkey%2Fa", "files/pass"]
    for secret in (*as_written, "database@pass", "crm+key/a"):
        logging.getLogger("anyone").warning("refused %s at 11:11", secret)
    logging.getLogger("anyone").warning("postgres at models.example")
    messages = [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]
    assert messages == [*["refused *** at 11:11"] * 8, "postgres at models.example"]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.usefixtures("logging_restored")
async def test_no_level_logs_messages_or_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    question, answer, key = "a question of mine", "an answer for me", "sk-very-secret-key"
    async with OpenAIServer() as upstream:
        upstream.script(Answer(answer), Answer(fail=INVALID_API_KEY))
        settings = {"model": "gpt-test", "base_url": upstream.base_url, "openai_api_key": key, "log_level": level}
        configure_logging(Settings(**settings))  # type: ignore[arg-type]  # pydantic reads them
        async with serve(tmp_path, **settings) as served, served.tab() as tab:  # type: ignore[arg-type]  # as above
            reply = await tab.create(question)
            assert reply.text == answer
            failed = await tab.send(reply.thread_id, question)
    log = capsys.readouterr().err
    assert failed.headers["x-request-id"] in log
    for words in (question, answer, key):
        assert words not in log


@pytest.mark.usefixtures("logging_restored")
def test_chatkits_own_log_handler_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """T43: chatkit adds one on import if LOG_LEVEL is set, and every line would be logged twice."""
    logging.getLogger("chatkit").addHandler(logging.StreamHandler())
    configure_logging(Settings())
    assert logging.getLogger("chatkit").handlers == []
    assert len(logging.getLogger().handlers) == 1
