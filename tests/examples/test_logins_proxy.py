"""examples/logins/proxy: the real nginx in front of a server with the settings of the README."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from chatkit_server import Settings, create_app
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Served, Tab
from tests.support.live_server import live
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.support.ports import free_port, listening

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
FOLDER = Path(__file__).parents[2] / "examples/logins/proxy"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMAND = "nginx -e stderr -p .chatkit -c $PWD/examples/logins/proxy/nginx.conf"
STRANGER = "127.0.0.2"
"""An address that is not the proxy's, from which this machine reaches the server as well."""
ADA = aiohttp.encode_basic_auth("ada", "lovelace")
WRONG = (aiohttp.encode_basic_auth("ada", "hopper"), aiohttp.encode_basic_auth("eve", "lovelace"))

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt install nginx-light)")


@dataclass(frozen=True)
class Site:
    """The proxy, and the server behind it."""

    proxy: str
    server: Served
    upstream: OpenAIServer

    def tab(self, name: str, password: str, **headers: str) -> Tab:
        """Return a frame of a browser in which the user has entered a name and a password."""
        return Tab(self.proxy, headers={"authorization": aiohttp.encode_basic_auth(name, password), **headers})

    def ada(self, **headers: str) -> Tab:
        return self.tab("ada", "lovelace", **headers)

    def http(self) -> aiohttp.ClientSession:
        """Return Ada's other client, who says that she is Grace."""
        return aiohttp.ClientSession(self.proxy, headers={"authorization": ADA, "x-forwarded-user": "grace"})


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Both, as in the README but for the ports."""
    assert COMMAND in README
    copy_sqlite(tmp_path / DATABASE)
    async with OpenAIServer() as upstream:
        values = dict(re.findall(r"^export (CHATKIT_\w+)=(\S+)$", README, re.MULTILINE)) | {
            "CHATKIT_DATABASE_URL": f"sqlite:///{tmp_path / DATABASE}",
            "CHATKIT_DATA_DIR": str(tmp_path),
            "CHATKIT_MODEL": "gpt-test",
            "CHATKIT_BASE_URL": upstream.base_url,
            "CHATKIT_TITLES": "false",
            "OPENAI_API_KEY": "sk-test",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        app = create_app(Settings())
        async with live(app) as url:
            port = free_port()
            async with _nginx(tmp_path, port, url):
                yield Site(f"http://127.0.0.1:{port}", Served(app, url), upstream)


class _nginx:
    """Runs nginx with the example's configuration on other ports."""

    def __init__(self, folder: Path, port: int, server: str) -> None:
        shutil.copytree(FOLDER, folder / "example")
        self._file = folder / "example/nginx.conf"
        text = self._file.read_text(encoding="utf-8")
        for old, new in (("127.0.0.1:8080", f"127.0.0.1:{port}"), ("http://127.0.0.1:8000", server)):
            assert text.count(old) == 1
            text = text.replace(old, new)
        if os.geteuid() == 0:
            text = f"user root;\n{text}"  # pytest's folders are for their user only
        self._file.write_text(text, encoding="utf-8")
        self._prefix, self._port = folder, port

    async def __aenter__(self) -> None:
        options = ("-e", "stderr", "-p", str(self._prefix), "-c", str(self._file))
        self._process = await asyncio.create_subprocess_exec(str(NGINX), *options)
        await listening(self._port)

    async def __aexit__(self, *error: object) -> None:
        self._process.terminate()
        await self._process.wait()


async def test_the_proxy_asks_for_the_password_and_nobody_chooses_another_name(site: Site) -> None:
    site.upstream.script(Answer("Hello, Ada."))
    async with site.ada(**{"x-forwarded-user": "grace"}) as ada, site.tab("grace", "hopper") as grace:
        reply = await ada.create("Hello")
        assert (reply.text, reply.error) == ("Hello, Ada.", None)
        assert [thread["id"] for thread in await ada.history()] == [reply.thread_id]
        assert await grace.history() == []
        assert (await grace.post("threads.get_by_id", {"thread_id": reply.thread_id})).status == 404
    assert await site.server.rows("SELECT DISTINCT user_id FROM threads") == [{"user_id": "ada"}]
    async with aiohttp.ClientSession(headers={"x-forwarded-user": "ada"}) as http:
        for password in (None, *WRONG):
            headers = {} if password is None else {"authorization": password}
            async with http.get(f"{site.proxy}/api/chatkit/options", headers=headers) as response:
                assert (response.status, response.headers["server"].partition("/")[0]) == (401, "nginx")


async def test_who_passes_by_the_proxy_names_nobody(site: Site) -> None:
    connector = aiohttp.TCPConnector(local_addr=(STRANGER, 0))
    headers = {"x-forwarded-user": "ada", "x-forwarded-for": "127.0.0.1", "content-type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        async with http.post(f"{site.server.url}/chatkit", data='{"type": "threads.list", "params": {}}') as response:
            assert (response.status, (await response.json())["code"]) == (401, "not_authenticated")


async def test_tokens_pass_the_proxy_as_they_come(site: Site) -> None:
    site.upstream.script(Answer("one two three", hang_after=2))
    async with site.http() as ada, asyncio.timeout(20):
        async with ada.post("/api/stream/message", json={"message": "Count"}) as response:
            assert response.status == 200
            first = await response.content.readline()  # the model has not sent the rest
            assert first.startswith(b'data: {"token":"one')


async def test_a_websocket_passes_the_proxy(site: Site) -> None:
    site.upstream.script(Answer("one two three", hang_after=2))
    async with site.http() as ada, asyncio.timeout(20):
        async with ada.ws_connect("/api/stream/ws", headers={"origin": site.proxy}) as socket:
            await socket.send_json({"message": "Count"})
            assert [(await socket.receive_json())["type"] for _ in range(2)] == ["started", "token"]
    assert await site.server.rows("SELECT DISTINCT user_id FROM turns") == [{"user_id": "ada"}]


async def test_the_page_is_behind_the_login_too(site: Site) -> None:
    async with site.http() as ada, ada.get("/") as page:
        assert page.status == 200
        assert not page.cookies, "the proxy knows the user"
