"""What `doctor` finds, in this process, at real services that are away, wrong or refuse."""

import contextlib
import json
import os
import pwd
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from glob import glob
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from mcp.server.mcpserver import MCPServer
from moto.server import ThreadedMotoServer
from pydantic import ValidationError
from sqlalchemy import make_url, text
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatkit_server.app import build_services
from chatkit_server.cli import _check_exposure
from chatkit_server.errors.setup import ModelSetupError
from chatkit_server.mcp.problem import WRONG_PATH
from chatkit_server.settings import Settings
from chatkit_server.startup.command_errors import explanations
from chatkit_server.startup.doctor import Finding, examinable, examine, report
from chatkit_server.startup.doctor.model_findings import SILENCE
from chatkit_server.startup.own_endpoint import own_address
from chatkit_store import new_id, open_engine
from chatkit_store.migrations import upgrade
from tests.databases import Postgres
from tests.files.uploading import S3_KEYS
from tests.support.live_server import live
from tests.support.openai_answers import INVALID_API_KEY, MODEL_NOT_FOUND, Answer
from tests.support.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which has no `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def findings(**values: Any) -> list[Finding]:
    settings = Settings(**{"model": "demo", "openai_api_key": None} | values)
    return [finding async for finding in examine(build_services(examinable(settings)), settings)]


async def faults(**values: Any) -> list[tuple[str, str, str]]:
    """Return mark, name and text of what is not ok."""
    return [(each.mark, each.name, each.text) for each in await findings(**values) if each.mark != "ok"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
async def web_server() -> AsyncIterator[str]:
    """The URL of a web server that has no such page."""

    async def not_found(_: web.Request) -> web.Response:
        return web.Response(status=404, text="<html><h1>404 Not Found</h1></html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", not_found)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


async def test_a_web_page_at_the_url_of_the_model_is_not_a_missing_model(web_server: str) -> None:
    assert await faults(base_url=web_server, model="m") == [
        (
            "WRONG",
            "model",
            f"m (compatible) at {web_server}: model_endpoint (status_code=404). No model's endpoint is at this path: "
            "correct CHATKIT_BASE_URL; it mostly ends in /v1.",
        )
    ]


async def test_the_variable_that_has_the_url_is_the_one_to_correct(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    (folder / ".env").write_text("CHATKIT_BASE_URL=http://127.0.0.1:1/v1\n", encoding="utf-8")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    (fault,) = await faults(model="m", model_retries=0)
    assert fault[2] == (
        f"m (compatible) at {url}: model_unreachable (Connection refused). Make sure that it runs there and can be "
        "reached from here, or correct OPENAI_BASE_URL."
    )


async def test_an_endpoint_that_is_this_server_itself_is_named() -> None:
    port = free_port()
    (fault,) = await faults(model="m", base_url=f"http://localhost:{port}/v1", port=port, model_retries=0)
    assert fault[2].startswith(
        f"m (compatible) at http://localhost:{port}/v1: That is the address of this server itself (port {port}). "
        "Correct CHATKIT_BASE_URL"
    )


def test_the_start_warns_of_an_endpoint_that_is_this_server_itself(caplog: pytest.LogCaptureFixture) -> None:
    _check_exposure(Settings(model="m", base_url="http://127.0.0.1:8000/v1", port=8001))
    assert caplog.text == ""
    _check_exposure(Settings(model="m", base_url="http://127.0.0.1:8001/v1", port=8001))
    assert "http://127.0.0.1:8001/v1 has no model: That is the address of this server itself" in caplog.text


@pytest.mark.parametrize(
    ("base_url", "public_url", "is_own"),
    [
        ("https://chat.example/v1", "https://chat.example", True),
        ("https://chat.example:443/chat/v1", "https://chat.example/chat/", True),
        ("https://chat.example/llm/v1", "https://chat.example/chat", False),
        ("https://llm.example/v1", "https://chat.example", False),
        ("http://127.0.0.1:11434/v1", "https://chat.example", False),
        ("http://[::1]:8000/v1", None, True),
        ("http://10.0.0.1:8000/v1", None, False),
    ],
)
def test_addresses_of_this_server(base_url: str, public_url: str | None, is_own: bool) -> None:
    settings = Settings(base_url=base_url, model="m", public_url=public_url, port=8000)
    assert (own_address(settings) is not None) == is_own
    assert own_address(settings.model_copy(update={"model": "demo"})) is None


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://host:port/v1", "http://me:secret@host/v1"])
def test_an_address_is_looked_for_only_in_a_url_that_can_be_used(url: str) -> None:
    with pytest.raises(ModelSetupError, match="must be a"):
        own_address(Settings(base_url=url, model="m"))


@pytest.fixture
async def mcp_server() -> AsyncIterator[str]:
    """The URL of a real MCP server that wants a key."""
    server = MCPServer("weather")
    server.tool(name="weather")(lambda city: f"Rain in {city}.")
    app = server.streamable_http_app()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        keys: dict[Any, int | None] = {b"Bearer right": None, b"Bearer foreign": 403}
        refusal = keys.get(dict(scope["headers"]).get(b"authorization"), 401) if scope["type"] == "http" else None
        await (app if refusal is None else Response(status_code=refusal))(scope, receive, send)

    async with live(guarded) as url:
        yield url


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_what_is_wrong_with_each_mcp_server_and_what_to_do(mcp_server: str, folder: Path) -> None:
    url, away = f"{mcp_server}/mcp", f"http://127.0.0.1:{free_port()}"
    python = {"command": sys.executable, "args": ["-c", "import os; os.environ['KEY']"]}
    servers = {
        "right": {"url": url, "headers": bearer("right")},
        "nokey": {"url": url},
        "badkey": {"url": url, "headers": bearer("wrong")},
        "older": {"url": url, "headers": bearer("wrong"), "transport": "sse"},
        "foreign": {"url": url, "headers": bearer("foreign")},
        "path": {"url": f"{mcp_server}/tools", "headers": bearer("right")},
        "away": {"url": f"{away}/mcp"},
        "ends": python,
        "missing": {"command": "/no/such/program"},
        "place": {**python, "cwd": f"{folder}/no"},
        "names": {"url": url, "headers": bearer("right"), "tools": ["weather", "wether"], "approve": ["send"]},
    }
    texts = {name: text for mark, name, text in await faults(mcp_servers=servers) if mark == "WRONG"}
    wrong_key = f"{mcp_server}: it answers 401 Unauthorized. Correct the key in its headers."
    no_program = "No such file or directory. Install its command where this server runs, or write its full path."
    assert texts == {
        "mcp nokey": f"{mcp_server}: it answers 401 Unauthorized. It wants a key: give it headers, such as "
        '{"Authorization": "Bearer ..."}.',
        "mcp badkey": wrong_key,
        "mcp older": wrong_key,
        "mcp foreign": f"{mcp_server}: it answers 403 Forbidden. Let the key in its headers use the server, or let the "
        "server take this host.",
        "mcp path": f"{mcp_server}: it answers 404 Not Found. {WRONG_PATH}",
        "mcp away": f"{away}: it cannot be reached. Make sure that it runs there, or correct its url.",
        "mcp ends": f"{sys.executable}: its command ended, or wrote something else than MCP to its standard output. "
        "Run it by hand: what it writes to standard error says why. Of this server's environment it gets only PATH, "
        "HOME and the like; keys belong into its env.",
        "mcp missing": f"/no/such/program: {no_program}",
        "mcp place": f"{sys.executable}: No such file or directory. Its cwd {folder}/no is not a folder: correct it.",
        "mcp names": "It has no tool send, wether, which CHATKIT_MCP_SERVERS names. Correct its tools or approve.",
    }


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ({"cmd": "uvx"}, "has no cmd; it is called command here"),
        ({"type": "http", "url": "http://x/mcp"}, "has no type; it is called transport here, and only needed for sse"),
        ({"url": "http://x/mcp", "q": 1}, "has no q; it takes command, args, env, "),
    ],
)
def test_an_entry_with_an_unknown_name_says_which_it_may_be(entry: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings(mcp_servers={"a": entry})
    (line,) = explanations(error.value)
    assert line.startswith(f"CHATKIT_MCP_SERVERS.a: {advice}")


def test_the_file_of_another_mcp_client_is_taken_as_it_is() -> None:
    assert Settings(mcp_servers={"mcpServers": {"a": {"command": "uvx"}}}).mcp_servers["a"].command == "uvx"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    """An S3-compatible service, over HTTP."""
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def test_a_bucket_that_is_there_missing_closed_or_away(
    s3: ThreadedMotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://{}:{}".format(*s3.get_host_and_port())
    access = {"s3_endpoint": url, "s3_region": "us-east-1", **S3_KEYS}
    async with aiohttp.ClientSession() as session:
        (await session.put(f"{url}/files")).raise_for_status()
        assert Finding("files", f"s3://files/chat at {url}") in await findings(
            attachments_url="s3://files/chat", **access
        )
        async with session.get(f"{url}/files") as listing:
            assert "<Key>" not in await listing.text()  # what doctor wrote is gone
    assert await faults(attachments_url="s3://others", **access) == [
        (
            "WRONG",
            "files",
            f"s3://others at {url}: a file cannot be written: NoSuchBucket. The bucket does not exist: create it, or "
            "correct CHATKIT_ATTACHMENTS_URL.",
        )
    ]
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    ((_, _, refused),) = await faults(attachments_url="s3://files", **access)
    assert "InvalidAccessKeyId. Correct CHATKIT_S3_ACCESS_KEY_ID and CHATKIT_S3_SECRET_ACCESS_KEY." in refused
    s3.stop()
    assert await faults(attachments_url="s3://files/chat", **access) == [
        (
            "WRONG",
            "files",
            f"s3://files/chat at {url}: a file cannot be written: it cannot be reached. Make sure that it runs there, "
            "or correct CHATKIT_S3_ENDPOINT.",
        )
    ]


async def test_a_web_server_is_no_s3_service(web_server: str) -> None:
    url = web_server.removesuffix("/v1")
    ((mark, _, text),) = await faults(attachments_url="s3://files", s3_endpoint=url, s3_region="x", **S3_KEYS)
    assert (mark, text.partition(": ")[2]) == (
        "WRONG",
        "a file cannot be written: status 404 Not Found. Is CHATKIT_S3_ENDPOINT the address of an S3-compatible "
        "service?",
    )


async def test_folders_that_cannot_be_written_or_have_no_page(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "empty").mkdir()
    assert await faults(
        attachments_url=f"{folder}/file/uploads",
        page_dir=folder / "empty",
        data_dir=folder / "file/data",
        database_url="sqlite:////proc/chat.db",  # where not even root may create a file
    ) == [
        (
            "WRONG",
            "database",
            "/proc/chat.db cannot be created (/proc: No such file or directory). Let this user write the folder, or "
            "set CHATKIT_DATABASE_URL",
        ),
        (
            "WRONG",
            "page",
            f"CHATKIT_PAGE_DIR={folder}/empty has no index.html: build the page, or remove the setting",
        ),
        (
            "WRONG",
            "secrets",
            f"CHATKIT_DATA_DIR={folder}/file/data cannot be written ({folder}/file: Not a directory). Choose a "
            "writable directory, or set CHATKIT_SECRETS",
        ),
        (
            "WRONG",
            "files",
            f"{folder}/file/uploads cannot be written ({folder}/file: Not a directory). Let this user write it, or set "
            "CHATKIT_ATTACHMENTS_URL",
        ),
    ]
    assert sorted(os.listdir(folder)) == ["empty", "file"]


async def test_tables_that_somebody_removed_are_missing(database_url: str) -> None:
    engine = open_engine(database_url)
    await upgrade(engine)
    assert await faults(database_url=database_url) == []
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE turn_events"))
    await engine.dispose()
    ((mark, _, fault),) = await faults(database_url=database_url)
    assert (mark, "lacks the table(s) turn_events, though" in fault) == ("WRONG", True)


async def test_a_postgresql_role_that_cannot_write_is_wrong(postgres: Postgres) -> None:
    role = new_id("reader")
    postgres.create_role(role, "")
    with postgres.fresh_database(with_schema=True) as url:
        name = str(make_url(url).database)
        postgres.run_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", name)
        ((mark, _, fault),) = await faults(database_url=postgres.url(name, role))
        assert (mark, f"does not let the role {role} INSERT, UPDATE, DELETE in the table api_keys: GRANT" in fault) == (
            "WRONG",
            True,
        )
        postgres.run_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        ((mark, _, fault),) = await faults(database_url=url)
        assert (mark, fault.startswith("postgresql is read-only (default_transaction_read_only)")) == ("WRONG", True)
    postgres.run_sql(f"DROP ROLE {role}")


async def test_a_sqlite_file_that_cannot_be_written_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    await faults()  # loads all modules: another user may not
    with tempfile.TemporaryDirectory() as place:  # not `tmp_path`, which only its owner may enter
        monkeypatch.chdir(place)
        engine = open_engine("sqlite:///chat.db")
        await upgrade(engine)
        await engine.dispose()
        for path in (place, *glob(f"{place}/*")):
            os.chmod(path, 0o555)
        with as_nobody():
            database, files = await faults(database_url="sqlite:///chat.db", secrets=["x" * 32])
        monkeypatch.undo()
    assert (database[0], database[1], f"{place}/chat.db cannot be" in database[2]) == ("WRONG", "database", True)
    assert files == (
        "WRONG",
        "files",
        f".chatkit/files cannot be written ({place}: Permission denied). Let this user write it, or set "
        "CHATKIT_ATTACHMENTS_URL",
    )


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights, which may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_models_that_no_agent_names_are_asked_as_well() -> None:
    async with OpenAIServer() as upstream:
        upstream.default = Answer("OK")
        endpoint = {"base_url": upstream.base_url, "model": "m", "openai_api_key": "k"}
        named = {"models": ["m", "m-fast"], "title_model": "m-small", "transcription_model": "m-hears"}
        texts = [finding.text for finding in await findings(**endpoint, **named)]
        assert texts[-4:] == [
            "m (compatible) answers",
            "CHATKIT_MODELS: m-fast (compatible) answers",
            "CHATKIT_TITLE_MODEL: m-small (compatible) answers",
            "m-hears answers",
        ]
        assert [len(recording.data) for recording in upstream.recordings] == [len(SILENCE)]
        upstream.transcripts.append(INVALID_API_KEY)
        assert (await faults(**endpoint, transcription_model="m-hears"))[0][2].endswith("Correct OPENAI_API_KEY.")
        away = f"http://127.0.0.1:{free_port()}/v1"
        ((_, name, text),) = await faults(
            **endpoint, transcription_model="m-hears", transcription_base_url=away, model_retries=0
        )
        assert (name, text) == (
            "dictation",
            "m-hears: model_unreachable (Connection refused). Make sure that it runs there and can be reached from "
            "here, or correct CHATKIT_TRANSCRIPTION_BASE_URL.",
        )
        upstream.default = Answer(fail=MODEL_NOT_FOUND)
        wrong = [text.partition(" ")[0] for _, _, text in await faults(**endpoint, **named)]
        assert wrong == ["m", "CHATKIT_MODELS:", "CHATKIT_TITLE_MODEL:"]


async def test_what_production_should_think_about_is_a_warning(folder: Path) -> None:
    engine = open_engine("sqlite:///chat.db")
    await upgrade(engine)
    await engine.dispose()
    values = {
        "environment": "production",
        "secrets": ["9f4c71ab" * 3 + "27de93aa"],
        "allow_anonymous": True,
        "database_url": "sqlite:///chat.db",
    }
    warnings = await faults(**values, public_url="http://127.0.0.1:8000", host="0.0.0.0")
    assert [(mark, name, text.partition(";")[0][:45]) for mark, name, text in warnings] == [
        ("WARN", "proxies", "Only proxies on this machine are believed. If"),
        ("WARN", "public url", "http://127.0.0.1:8000 leads browsers to their"),
        ("WARN", "database", "sqlite, up to date"),
        ("WARN", "model", "demo (demo): CHATKIT_MODEL=demo: a script ans"),
    ]
    fine = await faults(**values, public_url="https://chat.example", host="0.0.0.0", trusted_proxies=["10.0.0.5"])
    assert [name for _, name, _ in fine] == ["database", "model"]


async def test_the_findings_of_a_broken_setup_are_json_for_scripts(folder: Path) -> None:
    found = await findings(attachments_url="/proc/files", page_dir=folder)
    printed = json.loads(report(found))
    assert printed["ok"] is False
    assert [entry["name"] for entry in printed["findings"] if entry["mark"] == "WRONG"] == ["page", "files"]
