"""A dependency of the author's FastAPI app as the login: it gets what it would get for a route of that app."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import pytest
from fastapi import Cookie, Depends, FastAPI, Form, Header, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chatkit_server import User, create_app, lifespan_of
from chatkit_server.auth.own_login import OwnLogin
from chatkit_server.errors.setup import SetupError
from tests.databases import copy_sqlite
from tests.serving import DATABASE, make_settings
from tests.support.live_server import live

NAMES = {"ada's token": "ada"}
Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def sessions(request: Request) -> AsyncIterator[list[str]]:
    """Open and close what the author's app has for each request."""
    journal: list[str] = request.app.state.journal
    journal.append("opened")
    yield journal
    journal.append("closed")


def current_user(token: Token, journal: Annotated[list[str], Depends(sessions)], x_team: str = Header()) -> User:
    """Return the user of a bearer token."""
    if token.credentials not in NAMES:
        raise HTTPException(401, "unknown token")
    journal.append(f"asked by {x_team}")
    return User(NAMES[token.credentials], tenant=x_team)


def site(folder: Path, auth: Any) -> FastAPI:
    copy_sqlite(folder / DATABASE)
    chat = create_app(make_settings(folder), auth=auth)
    app = FastAPI(lifespan=lifespan_of(chat))
    app.state.journal = []
    app.mount("/chat", chat)
    return app


@pytest.mark.parametrize("auth", [Depends(current_user), current_user], ids=["Depends", "function"])
async def test_it_gets_what_a_route_of_the_author_would_get(tmp_path: Path, auth: Any) -> None:
    app = site(tmp_path, auth)
    headers = {"authorization": "Bearer ada's token", "x-team": "blue"}
    async with live(app) as url, aiohttp.ClientSession(f"{url}/chat/") as http:
        async with http.post("api/message", json={"message": "Hello"}, headers=headers) as response:
            assert response.status == 200
        assert app.state.journal == ["opened", "asked by blue", "closed"]
        async with http.get("api/chatkit/options", headers=headers) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x-team": "blue"}, "Not authenticated"),
        ({"x-team": "blue", "authorization": "Bearer another"}, "unknown token"),
        ({"authorization": "Bearer ada's token"}, "header x-team: Field required"),
    ],
)
async def test_its_refusals_are_401_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, headers: dict[str, str], reason: str
) -> None:
    caplog.set_level("INFO", "chatkit_server")
    async with live(site(tmp_path, Depends(current_user))) as url, aiohttp.ClientSession(f"{url}/chat/") as http:
        async with http.post("api/message", json={"message": "Hello"}, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (401, "not_authenticated")
        assert reason in caplog.text
        async with http.get("", headers=headers) as page:
            assert page.status == 200


async def test_a_websocket_asks_it_with_the_token_of_its_subprotocol(tmp_path: Path) -> None:
    def who(request: Request, token: Token) -> str:
        return request.app.state.journal or NAMES[token.credentials.replace("_", "'s ")]

    async with live(site(tmp_path, Depends(who))) as url, aiohttp.ClientSession(f"{url}/chat/") as http:
        async with http.ws_connect("api/stream/ws", protocols=("chatkit", "bearer.ada_token")) as socket:
            await socket.send_json({"message": "Hello"})
            assert (await socket.receive_json())["type"] == "started"


async def test_overrides_of_the_app_around_it_apply(tmp_path: Path) -> None:
    app = site(tmp_path, Depends(current_user))
    app.dependency_overrides[current_user] = lambda: "grace"
    async with live(app) as url, aiohttp.ClientSession(f"{url}/chat/") as http:
        async with http.post("api/message", json={"message": "Hello"}) as response:
            assert response.status == 200


async def test_another_error_of_it_keeps_its_status(tmp_path: Path) -> None:
    def away() -> str:
        raise HTTPException(503, "the directory is away")

    async with live(site(tmp_path, Depends(away))) as url, aiohttp.ClientSession(f"{url}/chat/") as http:
        async with http.post("api/message", json={"message": "Hello"}) as response:
            assert (response.status, (await response.json())["message"]) == (503, "the directory is away")


def test_one_that_reads_the_body_is_refused() -> None:
    def who(name: Annotated[str, Form()], session: Annotated[str, Cookie()]) -> str:
        return name

    with pytest.raises(SetupError, match="reads the body"):
        OwnLogin(Depends(who), "The login")
