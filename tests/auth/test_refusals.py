"""What a browser without a login gets: the page itself, and refusals that the page's script can tell from others."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from starlette.requests import HTTPConnection

from chatkit_server import User, create_app
from chatkit_server.auth.login import bearer_token
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Served, make_settings
from tests.support.live_server import live


async def login(request: HTTPConnection) -> User | None:
    """The bearer token is the user's id."""
    token = bearer_token(request)
    return None if token is None else User(token)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """The app with this login."""
    copy_sqlite(tmp_path / DATABASE)
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text("<title>The page</title>")
    app = create_app(make_settings(tmp_path, page_dir=tmp_path / "page"), auth=login)
    async with live(app) as url:
        yield Served(app, url)


async def test_a_refused_stream_names_its_error_in_a_header(served: Served) -> None:
    async with served.tab() as tab:
        refused = await tab.create("Hello")
        listed = await tab.post("threads.list")
    assert (refused.status, refused.types) == (200, ["error"])
    assert refused.headers["x-chatkit-error"] == "not_authenticated"
    assert (listed.status, listed.body["code"]) == (401, "not_authenticated")

    async with served.tab(headers={"authorization": "Bearer ada"}) as tab:
        answer = await tab.create("Hello")
        unknown = await tab.send("thr_unknown", "Hello")
    assert answer.error is None
    assert "x-chatkit-error" not in answer.headers
    assert unknown.headers["x-chatkit-error"] == "not_found"


async def test_the_page_is_for_everyone_and_its_options_are_not(served: Served) -> None:
    async with aiohttp.ClientSession(served.url) as http:
        async with http.get("/") as response:
            assert response.status == 200
            assert "set-cookie" not in response.headers
            assert "<title>The page" in await response.text()
        async with http.get("/api/chatkit/options") as response:
            assert response.status == 401
            assert (await response.json())["code"] == "not_authenticated"
        async with http.get("/api/chatkit/options", headers={"authorization": "Bearer ada"}) as response:
            assert response.status == 200
