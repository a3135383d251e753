"""Log in to a WebSocket as browsers can: by a subprotocol, or by the first message."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from starlette.requests import HTTPConnection

from chatkit_server import NotAuthenticated, User, create_app
from chatkit_server.auth.login import bearer_token
from chatkit_server.routes import socket_login
from tests.databases import copy_sqlite
from tests.serving import DATABASE, make_settings
from tests.support.live_server import live

TOKEN = "token-of-ann_~1.2"
LOGIN = {"type": "login", "token": TOKEN}


async def only_ann(request: HTTPConnection) -> User | None:
    """Know one token, wherever it is."""
    if (token := bearer_token(request)) is None:
        return None
    if token != TOKEN:
        raise NotAuthenticated(reason="unknown token")
    return User("ann")


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    copy_sqlite(tmp_path / DATABASE)
    async with live(create_app(make_settings(tmp_path, sockets=3, sockets_per_user=2), auth=only_ann)) as url:
        yield url


@asynccontextmanager
async def socket(url: str, *protocols: str, **headers: str) -> AsyncIterator[ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/api/stream/ws", protocols=protocols, headers=headers) as socket:
            yield socket


async def answers(connection: ClientWebSocketResponse) -> None:
    """Assert that the connection is logged in."""
    await connection.send_json({"message": "Hello"})
    assert (await connection.receive_json())["type"] == "started"


async def refused(connection: ClientWebSocketResponse, code: str = "not_authenticated", close_code: int = 1008) -> None:
    """Assert that the connection ends with this error."""
    frame = await connection.receive_json()
    assert (frame["type"], frame["error"]["code"]) == ("error", code)
    assert (await connection.receive()).type is WSMsgType.CLOSE
    assert connection.close_code == close_code


async def test_a_token_may_be_offered_as_a_subprotocol(url: str) -> None:
    async with socket(url, "chatkit", f"bearer.{TOKEN}") as connection:
        assert connection.protocol == "chatkit", "a browser needs one of those that it offered; not the token"
        await answers(connection)
    async with socket(url, f"bearer.{TOKEN}") as connection:
        assert connection.protocol is None
        await answers(connection)
    async with socket(url, Authorization=f"Bearer {TOKEN}") as connection:
        await answers(connection)


@pytest.mark.parametrize("protocols", [("chatkit",), ()])
async def test_a_token_may_be_the_first_message(url: str, protocols: tuple[str, ...]) -> None:
    async with socket(url, *protocols) as connection:
        assert connection.protocol == (protocols[0] if protocols else None)
        await connection.send_json(LOGIN)
        assert await connection.receive_json() == {"type": "login", "login": True}
        await answers(connection)


@pytest.mark.parametrize(
    "protocols", [("chatkit", "bearer.wrong"), ("chatkit", "bearer.wrong", f"bearer.{TOKEN}")], ids=str
)
async def test_a_wrong_token_closes_the_connection(url: str, protocols: tuple[str, ...]) -> None:
    async with socket(url, *protocols) as connection:
        await refused(connection)


FIRST: list[Any] = [
    {"type": "login", "token": "wrong"},
    {"type": "login", "token": ""},
    {"type": "login", "token": "t\u00e4"},
    {"type": "login", "token": f"{TOKEN}\r\nx-forwarded-user: bob"},
    {"type": "login", "token": 7},
    {"type": "login"},
    {"message": "Hello"},
    {"type": "stop"},
    ["login"],
    {"type": "login", "token": "x" * 100_000},
]


@pytest.mark.parametrize("first", FIRST, ids=lambda first: str(first)[:50])
async def test_any_other_first_message_closes_the_connection(
    url: str, first: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with socket(url) as connection:
        await connection.send_json(first)
        await refused(connection)
    assert "Traceback" not in caplog.text
    assert not any("wrong" in record.getMessage() for record in caplog.records)


async def test_bytes_are_no_login(url: str) -> None:
    async with socket(url) as connection:
        await connection.send_bytes(b"\x00")
        await refused(connection)


async def test_a_connection_without_a_login_is_closed_in_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_login, "LOGIN_SECONDS", 0.05)
    async with socket(url) as connection:
        await refused(connection)


async def test_connections_that_wait_for_a_login_take_no_place_of_users(url: str) -> None:
    async with socket(url) as first, socket(url), socket(url), socket(url) as fourth:
        await refused(first)  # it has waited longest
        async with socket(url, "chatkit", f"bearer.{TOKEN}") as user:
            await answers(user)
            await fourth.send_json(LOGIN)
            assert (await fourth.receive_json())["login"] is True
            async with socket(url) as again, socket(url, "chatkit", f"bearer.{TOKEN}x") as wrong:
                await again.send_json(LOGIN)
                await refused(again, "too_many_sockets", 1013)  # two of this user are open
                await refused(wrong)


async def test_the_token_is_never_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with socket(url, "chatkit", f"bearer.{TOKEN}") as connection:
        await answers(connection)
    async with socket(url) as connection:
        await connection.send_json(LOGIN)
        await connection.receive_json()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("chatkit", "uvicorn"))]
    assert ours
    assert not [text for text in ours if TOKEN in text]


async def test_a_token_that_was_revoked_starts_nothing_on_an_open_connection(tmp_path: Path) -> None:
    users = {"first": User("ann"), "second": User("ann")}

    async def by_token(request: HTTPConnection) -> User | None:
        if (token := bearer_token(request)) is None:
            return None
        if (user := users.get(token)) is None:
            raise NotAuthenticated(reason="unknown token")
        return user

    async def expect_refusal(connection: ClientWebSocketResponse) -> None:
        await connection.send_json({"message": "Hello"})
        while (frame := await connection.receive_json())["type"] != "error":  # the first answer still streams
            pass
        assert frame["error"]["code"] == "not_authenticated"

    copy_sqlite(tmp_path / DATABASE)
    async with (
        live(create_app(make_settings(tmp_path), auth=by_token)) as url,
        socket(url, "chatkit", "bearer.first") as by_subprotocol,
        socket(url) as by_message,
    ):
        await by_message.send_json({"type": "login", "token": "second"})
        assert (await by_message.receive_json())["type"] == "login"
        for connection in (by_subprotocol, by_message):
            await answers(connection)
        del users["first"]
        users["second"] = User("bob")  # the token now belongs to somebody else
        for connection in (by_subprotocol, by_message):
            await expect_refusal(connection)
