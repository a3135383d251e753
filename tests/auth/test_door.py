"""The door: several logins in turn."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from starlette.requests import HTTPConnection

from chatkit_server import User, create_app
from chatkit_server.auth import Door
from chatkit_server.auth.anonymous import Anonymous
from chatkit_server.limits.new_users import NewUsers
from tests.serving import SECRET, make_settings
from tests.support.live_server import live

LIST = {"type": "threads.list", "params": {}}


async def by_header(request: HTTPConnection) -> User | None:
    """Return the user of a header."""
    name = request.headers.get("x-test-user")
    return None if name is None else User(name)


async def test_only_a_visitor_without_a_login_gets_a_cookie(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    door = Door([by_header], Anonymous([SECRET], NewUsers(100)))
    app.state.services = replace(app.state.services, door=door)
    async with live(app) as url, aiohttp.ClientSession(url) as http:
        async with http.post("/chatkit", json=LIST, headers={"x-test-user": "alice"}) as response:
            assert (response.status, "set-cookie" in response.headers) == (200, False)
        async with http.post("/chatkit", json=LIST) as response:
            assert (response.status, "set-cookie" in response.headers) == (200, True)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no credentials\n"),
        ({"authorization": "Bearer ey.of.another"}, "an Authorization header of another kind\n"),
    ],
)
async def test_the_log_tells_no_login_from_one_of_another_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, headers: dict[str, str], words: str
) -> None:
    caplog.set_level("INFO")
    async with (
        live(create_app(make_settings(tmp_path), auth=by_header)) as url,
        aiohttp.ClientSession(url, headers=headers) as http,
        http.post("/chatkit", json=LIST) as response,
    ):
        assert response.status == 401
    assert words in caplog.text
