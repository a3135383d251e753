"""What of a request an agent sees besides its user: allowed headers, claims of a token, what the login says."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agents import Agent
from agents.testing import ScriptedModel, assistant_message
from multidict import CIMultiDict
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from chatkit_server import RequestContext, Settings, User, create_app
from chatkit_server.auth.claims import ClaimNames
from chatkit_server.auth.door import Door
from chatkit_server.auth.own_login import OwnLogin
from tests.serving import make_settings, serve
from tests.support.live_server import live


def connection(*headers: tuple[bytes, bytes]) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": list(headers), "state": {"request_id": "r"}})


async def test_claims_and_metadata_are_copies_that_an_agent_may_change() -> None:
    claims = {"sub": "ada", "realm": {"roles": ["buyer"]}}
    user = ClaimNames().user_of(claims)

    async def login(request: HTTPConnection) -> User:
        return user

    door = Door([OwnLogin(login, "login")], None)
    for _ in range(2):  # a token that was verified a moment ago has the same user
        context = await door.authenticate(connection())
        assert context.claims == claims == context.metadata
        context.claims["realm"]["roles"].append("admin")
        context.metadata["realm"]["roles"].append("admin")
    assert "buyer" not in repr(context)
    json.dumps(context.claims)


async def test_a_login_function_says_more_of_the_user(tmp_path: Path) -> None:
    seen: list[RequestContext] = []

    def login(request: HTTPConnection) -> User:
        return User("ada", metadata={"plan": "gold"})

    def agent(context: RequestContext) -> Agent[Any]:
        seen.append(context)
        return Agent(name="Nobody", model=ScriptedModel([[assistant_message("Hi.")]]))

    settings = make_settings(tmp_path, context_headers="X-Plan, x-missing")
    async with live(create_app(settings, agent, auth=login)) as url, aiohttp.ClientSession(url) as http:
        headers = CIMultiDict([("x-plan", "a"), ("x-plan", "b"), ("x-secret", "c")])
        async with http.post("/api/message", json={"message": "Hello"}, headers=headers) as response:
            assert (await response.json())["text"] == "Hi."
    (context,) = seen
    assert (context.metadata, context.claims) == ({"plan": "gold"}, {})
    assert dict(context.headers) == {"x-plan": "a, b"}
    assert context.headers["X-Plan"] == "a, b"


async def test_a_page_of_another_origin_may_send_allowed_headers(tmp_path: Path) -> None:
    page = "https://page.example"
    async with serve(tmp_path, cors_origins=page, cors_headers="X-Article-Id") as served, served.tab() as tab:
        for header, status in (("x-article-id", 200), ("authorization", 200), ("x-other", 400)):
            asked = {
                "origin": page,
                "access-control-request-method": "POST",
                "access-control-request-headers": header,
            }
            async with tab.session.options(f"{served.url}/chatkit", headers=asked) as response:
                assert response.status == status, header


@pytest.mark.parametrize("name", ["cors_headers", "context_headers"])
@pytest.mark.parametrize("value", ["*", "x plan", "x:plan"])
def test_what_is_no_header_is_refused(name: str, value: str) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(ValidationError, match="is not a header's name such as x-article-id"):
        Settings(**arguments)
