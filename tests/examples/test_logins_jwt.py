"""examples/logins/jwt: the issuer and a server with the settings of its README, on real sockets."""

import importlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest

from chatkit_server import Settings, create_app
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Tab
from tests.support.live_server import live

ISSUER = "examples.logins.jwt.issuer"
FOLDER = Path(__file__).parents[2] / "examples/logins/jwt"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
PAGE = (FOLDER / "page.html").read_text(encoding="utf-8")
ISSUER_URL, CHAT_URL = "http://localhost:9000", "http://localhost:8000"


@dataclass(frozen=True)
class Site:
    """The two servers."""

    issuer: str
    chat: str
    module: ModuleType

    async def log_in(self, http: aiohttp.ClientSession, name: str, password: str) -> int:
        """Send the page's form; return the status."""
        form = {"name": name, "password": password}
        async with http.post(f"{self.issuer}/login", data=form) as response:
            return response.status

    async def token(self, name: str, password: str) -> str:
        """Log in and return a token, as the page does."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            assert await self.log_in(http, name, password) == 200
            async with http.post(f"{self.issuer}/token") as response:
                body = await response.json()
                return str(body["access_token"])

    def tab(self, token: str) -> Tab:
        """Return a frame that sends a token from the issuer's page."""
        return Tab(self.chat, headers={"authorization": f"Bearer {token}", "origin": ISSUER_URL})


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Both servers, with the settings of the README."""
    copy_sqlite(tmp_path / DATABASE)
    values = dict(re.findall(r"^export (CHATKIT_\w+)=(\S+)$", README, re.MULTILINE))
    assert values["CHATKIT_JWT_ISSUER"] == ISSUER_URL
    monkeypatch.delitem(sys.modules, ISSUER, raising=False)
    issuer = importlib.import_module(ISSUER)
    assert issuer.ISSUER == ISSUER_URL
    async with live(issuer.app) as url:
        monkeypatch.setattr(issuer, "ISSUER", url)
        values |= {
            "CHATKIT_JWT_ISSUER": url,
            "CHATKIT_DATABASE_URL": f"sqlite:///{tmp_path / DATABASE}",
            "CHATKIT_DATA_DIR": str(tmp_path),
            "CHATKIT_MODEL": "demo",
            "CHATKIT_DEMO_TOKENS_PER_SECOND": "100000",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        async with live(create_app(Settings())) as chat:
            yield Site(url, chat, issuer)


async def test_the_tokens_of_the_issuer_open_the_chat(site: Site) -> None:
    async with site.tab(await site.token("ada", "lovelace")) as ada, site.tab("nonsense") as nobody:
        reply = await ada.create("Hello, it is me")
        assert reply.error is None
        assert reply.text
        assert reply.headers["access-control-allow-origin"] == ISSUER_URL
        assert (await nobody.post("threads.list")).status == 401
        async with site.tab(await site.token("grace", "hopper")) as grace:
            assert await grace.history() == []
            assert (await grace.post("threads.get_by_id", {"thread_id": reply.thread_id})).status == 404
        async with site.tab(await site.token("ada", "lovelace")) as later:
            assert [thread["id"] for thread in await later.history()] == [reply.thread_id]


async def test_only_who_knows_a_password_gets_a_token(site: Site) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        for name, password in (("ada", "hopper"), ("nobody", ""), ("nobody", "x")):
            assert await site.log_in(http, name, password) in (401, 422)
        async with http.post(f"{site.issuer}/token") as response:
            assert response.status == 401


async def test_the_page_calls_the_servers_of_the_readme(site: Site) -> None:
    async with aiohttp.ClientSession() as http, http.get(site.issuer) as response:
        assert (response.status, await response.text()) == (200, PAGE)
    assert f'src="{CHAT_URL}/element.js"' in PAGE
    assert f'const CHAT = "{CHAT_URL}"' in PAGE
    assert "examples.logins.jwt.issuer:app --port 9000" in README
