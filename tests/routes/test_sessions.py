"""`/v1/chatkit/sessions`, called by OpenAI's own Python client: only its `base_url` differs from the hosted API."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from agents import Agent
from openai import AsyncOpenAI
from openai.types.beta.chatkit import ChatSession

from tests.routes.sessions import API_KEY, Backend, serving_sessions

CONFIGURATION: dict[str, Any] = {
    "automatic_thread_titling": {"enabled": False},
    "file_upload": {"enabled": True, "max_file_size": 5, "max_files": 2},
    "history": {"enabled": True, "recent_threads": 3},
}
FULL: dict[str, Any] = {
    "user": "ada",
    "workflow": {
        "id": "wf_1",
        "version": "7",
        "state_variables": {"plan": "pro", "seats": 3, "is_new": True, "score": 0.5},
        "tracing": {"enabled": False},
    },
    "expires_after": {"anchor": "created_at", "seconds": 120},
    "rate_limits": {"max_requests_per_1_minute": 30},
    "chatkit_configuration": CONFIGURATION,
}
DEFAULTS = {
    "object": "chatkit.session",
    "status": "active",
    "user": "ada",
    "max_requests_per_1_minute": 10,
    "rate_limits": {"max_requests_per_1_minute": 10},
    "workflow": {"id": "wf_1", "version": None, "state_variables": None, "tracing": {"enabled": True}},
    "chatkit_configuration": {
        "automatic_thread_titling": {"enabled": True},
        "file_upload": {"enabled": False, "max_file_size": 512, "max_files": 10},
        "history": {"enabled": True, "recent_threads": None},
    },
}


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    async with serving_sessions(tmp_path) as backend:
        yield backend


def expires_in(session: ChatSession) -> float:
    return session.expires_at - time.time()


async def test_a_session_has_all_fields_with_the_defaults_of_openai(backend: Backend) -> None:
    session = await backend.create()
    made = session.to_dict()
    assert str(made.pop("id")).startswith("cksess_")
    assert session.client_secret.startswith("ek_")
    assert 590 < expires_in(session) <= 600
    assert {name: value for name, value in made.items() if name not in ("client_secret", "expires_at")} == DEFAULTS


async def test_all_options_are_returned_and_reach_the_agent(backend: Backend) -> None:
    session = await backend.openai.beta.chatkit.sessions.create(
        **FULL, extra_body={"tenant": "acme", "user_name": "Ada"}
    )
    assert session.workflow.to_dict() == FULL["workflow"]
    assert session.chatkit_configuration.to_dict() == CONFIGURATION
    assert session.max_requests_per_1_minute == session.rate_limits.max_requests_per_1_minute == 30
    assert 110 < expires_in(session) <= 120
    async with backend.tab(session.client_secret) as tab:
        assert (await tab.create("Hello")).text
    context = backend.contexts[-1]
    assert context.session is not None
    assert (context.tenant, context.user_id, context.user_name, context.is_admin) == ("acme", "ada", "Ada", False)
    assert dict(context.state_variables) == FULL["workflow"]["state_variables"] == context.metadata
    assert (context.session.workflow_id, context.session.workflow_version) == ("wf_1", "7")
    assert context.session.requests_per_minute == 30
    (turn,) = await backend.served.rows("SELECT session_id, tenant FROM turns")
    assert turn == {"session_id": session.id, "tenant": "acme"}


async def test_sessions_of_one_user_share_threads_and_those_of_others_see_none(backend: Backend) -> None:
    async with backend.tab((await backend.create()).client_secret) as tab:
        thread_id = (await tab.create("Hello")).thread_id
    async with backend.tab((await backend.create()).client_secret) as again:
        assert [thread["id"] for thread in await again.history()] == [thread_id]
    for other in (await backend.create("bob"), await backend.create(extra_body={"tenant": "acme"})):
        async with backend.tab(other.client_secret) as stranger:
            assert await stranger.history() == []


async def test_cancelling_ends_the_secret_and_can_be_repeated(backend: Backend) -> None:
    session = await backend.create()
    for _ in range(2):
        cancelled = await backend.cancel(session.id)
        assert (cancelled.id, cancelled.status, cancelled.client_secret) == (session.id, "cancelled", "")
        assert cancelled.expires_at == session.expires_at
    async with backend.tab(session.client_secret, frame=False) as tab:
        reply = await tab.create("Hello")
    assert reply.status == 401
    with pytest.raises(openai.NotFoundError):
        await backend.cancel("cksess_unknown")


async def test_a_wrong_key_is_an_authentication_error(backend: Backend) -> None:
    session = await backend.create()
    for key in ("wrong", session.client_secret, API_KEY + "x", "x" * 5000):
        client = AsyncOpenAI(base_url=f"{backend.served.url}/v1", api_key=key, max_retries=0)
        with pytest.raises(openai.AuthenticationError, match="The API key is not valid") as refused:
            await client.beta.chatkit.sessions.create(user="ada", workflow={"id": "wf_1"})
        assert refused.value.code == "invalid_api_key"
        await client.close()
    status, answer = await backend.post("/v1/chatkit/sessions", {"user": "ada"})
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert "Authorization: Bearer" in answer["error"]["message"]


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the full body with another value at a dotted path."""
    *parents, name = path.split(".")
    body = {key: _copy(entry) for key, entry in FULL.items()}
    part = body
    for parent in parents:
        part = part.setdefault(parent, {})
    part[name] = value
    return body


def _copy(value: Any) -> Any:
    return {key: _copy(entry) for key, entry in value.items()} if isinstance(value, dict) else value


BAD: list[tuple[str, Any, str]] = [
    ("user", "", "user"),
    ("user", "  ", "user"),
    ("user", 5, "user"),
    ("user", "x" * 513, "user"),
    ("workflow.id", "", "workflow.id"),
    ("workflow.id", 7, "workflow.id"),
    ("workflow.id", "x" * 300, ""),
    ("workflow.state_variables", {"a": {"b": 1}}, "workflow.state_variables"),
    ("workflow.state_variables", {"a": None}, "workflow.state_variables"),
    ("workflow.state_variables", {"a" * 65: 1}, "workflow"),
    ("workflow.state_variables", {"a": "b" * 70_000}, "workflow"),
    ("workflow.tracing", True, "workflow.tracing"),
    ("expires_after.seconds", 0, "expires_after.seconds"),
    ("expires_after.seconds", 86_401, "expires_after.seconds"),
    ("expires_after.seconds", "600", "expires_after.seconds"),
    ("expires_after.anchor", "now", "expires_after.anchor"),
    ("rate_limits.max_requests_per_1_minute", 0, "rate_limits.max_requests_per_1_minute"),
    ("rate_limits.max_requests_per_1_minute", 2**31, "rate_limits.max_requests_per_1_minute"),
    ("chatkit_configuration.file_upload.max_file_size", 0, "chatkit_configuration.file_upload.max_file_size"),
    ("chatkit_configuration.file_upload.max_file_size", 513, "chatkit_configuration.file_upload.max_file_size"),
    ("chatkit_configuration.file_upload.max_files", 0, "chatkit_configuration.file_upload.max_files"),
    ("chatkit_configuration.file_upload.enabled", "yes", "chatkit_configuration.file_upload.enabled"),
    ("chatkit_configuration.history.recent_threads", 0, "chatkit_configuration.history.recent_threads"),
    ("tenant", 5, "tenant"),
]


async def test_a_bad_value_is_a_400_that_names_it(backend: Backend) -> None:
    for path, value, param in BAD:
        status, answer = await backend.post("/v1/chatkit/sessions", changed(path, value), bearer=API_KEY)
        assert status == 400, (path, value, answer)
        assert answer["error"]["type"] == "invalid_request_error"
        assert (answer["error"]["param"] or "") == param, (path, value, answer)
    for missing in ("user", "workflow", "workflow.id"):
        body = {key: _copy(entry) for key, entry in FULL.items()}
        del (body["workflow"] if missing == "workflow.id" else body)[missing.rpartition(".")[2]]
        status, answer = await backend.post("/v1/chatkit/sessions", body, bearer=API_KEY)
        assert (status, answer["error"]["param"]) == (400, missing)
        assert answer["error"]["message"] == f"Missing required parameter: '{missing}'."
    for user in ("", " ", "ada\n", "a\x01da", "a" * 513):  # the door would refuse its secret
        with pytest.raises(openai.BadRequestError):
            await backend.create(user)
    status, answer = await backend.post("/v1/chatkit/sessions", [], bearer=API_KEY)
    assert (status, answer["error"]["param"]) == (400, None)
    assert answer["error"]["message"] == "The body is not a JSON object."
    assert await backend.served.rows("SELECT id FROM chat_sessions") == []


async def test_nulls_and_unknown_fields_are_tolerated(backend: Backend) -> None:
    body = {"user": "ada", "workflow": {"id": "wf_1", "version": None, "new": 1}, "rate_limits": None, "extra": [1]}
    status, made = await backend.post("/v1/chatkit/sessions", body, bearer=API_KEY)
    assert status == 200
    assert made["max_requests_per_1_minute"] == 10


async def test_the_workflow_chooses_the_agent_of_a_mapping(tmp_path: Path) -> None:
    agents = {"wf_sales": Agent(name="Sales"), "wf_help": Agent(name="Help")}
    async with serving_sessions(tmp_path, agents) as backend:
        for workflow, name in (("wf_help", "Help"), ("wf_sales", "Sales")):
            session = await backend.create(workflow=workflow)
            async with backend.tab(session.client_secret) as tab:
                assert (await tab.create("Hello")).text
                async with tab.session.get(
                    f"{tab.base_url}/api/chatkit/options",
                    headers={"authorization": f"Bearer {session.client_secret}"},
                ) as response:
                    assert (await response.json())["agent"] == name
        with pytest.raises(openai.BadRequestError, match=r"did you mean wf_sales\?") as refused:
            await backend.create(workflow="wf_sale")
        assert refused.value.param == "workflow.id"


async def test_without_session_in_chatkit_auth_the_error_names_the_setting(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, auth="none") as backend:
        with pytest.raises(openai.APIStatusError, match="can add `session` to CHATKIT_AUTH") as refused:
            await backend.create()
        assert refused.value.response.headers["x-should-retry"] == "false"
        for path in ("/api/chatkit/session", "/api/chatkit/refresh"):
            status, answer = await backend.post(path)
            assert (status, answer["code"]) == (501, "not_available")


async def test_without_any_key_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, api_keys=[]) as backend:
        with pytest.raises(openai.AuthenticationError, match="chatkit-server keys create"):
            await backend.create()
