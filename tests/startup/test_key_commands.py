"""`chatkit-server keys` and `token`: what they print works at a server on the same database."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from typer.testing import CliRunner, Result

from chatkit_server import cli
from tests.databases import copy_sqlite
from tests.routes.sessions import serving_sessions
from tests.serving import DATABASE


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy_sqlite(tmp_path / DATABASE)
    monkeypatch.setattr("chatkit_server.startup.key_commands.configure_logging", lambda settings: None)
    monkeypatch.setenv("CHATKIT_DATABASE_URL", f"sqlite:///{tmp_path / DATABASE}")
    monkeypatch.setenv("CHATKIT_AUTH", "session")


def make_key(*options: str) -> str:
    made = run("keys", "create", *options)
    assert made.exit_code == 0, made.output
    return made.stdout.strip()


def test_a_key_makes_sessions_until_it_is_revoked(tmp_path: Path) -> None:
    key, admin = make_key("--name", "shop backend"), make_key("--admin")
    newest, oldest = run("keys", "list").stdout.splitlines()
    assert "admin" in newest
    assert "valid" in newest
    assert oldest.endswith("shop backend")
    assert "sessions" in oldest
    for secret in (key, admin):
        assert secret not in newest + oldest
    key_id = oldest.split()[0]

    async def make_session(api_key: str) -> Any:
        async with (
            serving_sessions(tmp_path, api_keys=[]) as backend,
            AsyncOpenAI(base_url=f"{backend.served.url}/v1", api_key=api_key, max_retries=0) as client,
        ):
            return await client.beta.chatkit.sessions.create(user="ada", workflow={"id": "wf_1"})

    assert asyncio.run(make_session(key)).client_secret
    assert run("keys", "revoke", key_id).exit_code == 0
    with pytest.raises(openai.AuthenticationError):
        asyncio.run(make_session(key))
    assert asyncio.run(make_session(admin)).client_secret
    again = run("keys", "revoke", key_id)
    assert (again.exit_code, again.stderr) == (1, f"chatkit-server: there is no valid key {key_id}.\n")
    assert "revoked" in run("keys", "list").stdout


def test_the_token_of_a_user_is_a_client_secret(tmp_path: Path) -> None:
    secret = run("token", "--user", "ada", "--tenant", "acme", "--seconds", "60").stdout.strip()

    async def say_hello() -> Any:
        async with serving_sessions(tmp_path) as backend:
            async with backend.tab(secret) as tab:
                assert (await tab.create("Hello")).text
            return backend.contexts[-1]

    context = asyncio.run(say_hello())
    assert (context.user_id, context.tenant, context.session.has_uploads) == ("ada", "acme", True)


def test_a_token_that_no_server_would_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_AGENT", '{"wf_1": "shop:one", "wf_2": "shop:two"}')
    wrong = run("token", "--user", "ada", "--workflow", "wf_3")
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "chatkit-server: CHATKIT_AGENT has no workflow wf_3; it has wf_1, wf_2.\n",
    )
    for wrong_name in (("--user", " "), ("--user", "ada", "--tenant", "a\n")):
        assert run("token", "--workflow", "wf_1", *wrong_name).exit_code == 2
    monkeypatch.setenv("CHATKIT_AUTH", "none")
    refused = run("token", "--user", "ada")
    assert refused.exit_code == 2
    assert "Add `session` to it" in refused.stderr
