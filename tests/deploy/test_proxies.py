"""The real nginx and Caddy with the configurations of docs/deploy.md: tokens, uploads and WebSockets pass."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.document import block, changed
from tests.deploy.proxies import PATH, PATIENCE, browser, nginx_with, running
from tests.files.uploading import form
from tests.serving import Served, Tab, serve
from tests.store.tls import local_certificate
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.support.ports import free_port
from tests.support.sse import Json
from tests.turns.coming_back import asking, read_up_to
from tests.workers.processes import ROOT

ANSWER = Answer("one two three", hang_after=2)
MOST_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Site:
    """What browsers see, and what the server's model waits for."""

    url: str
    upstream: OpenAIServer
    served: Served

    def http(self) -> aiohttp.ClientSession:
        return browser(self.url)

    async def ready(self) -> None:
        """Wait until the proxy has a certificate, which Caddy makes after it has begun to listen."""
        async with self.http() as http, asyncio.timeout(PATIENCE):
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    async with http.get("/healthz"):
                        return
                await asyncio.sleep(0.05)


def nginx(folder: Path, port: int, server: str) -> list[str]:
    """Write the document's configuration for these ports, within the rest that Debian has; return the command."""
    local_certificate(folder)
    text = changed(
        block("nginx", "proxy_pass"),
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "http://127.0.0.1:8000": server,
            "/etc/ssl/chat.example.com.pem": f"{folder}/certificate.pem",
            "/etc/ssl/chat.example.com.key": f"{folder}/key.pem",
        },
    )
    return nginx_with(text, folder)


def _caddy(folder: Path, text: str) -> list[str]:
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tlocal_certs\n}\n"
    (folder / "Caddyfile").write_text(options + text, encoding="utf-8")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def caddy(folder: Path, port: int, server: str) -> list[str]:
    """Write the document's configuration for these ports; return the command."""
    changes = {"chat.example.com": f"https://127.0.0.1:{port}", "127.0.0.1:8000": server.removeprefix("http://")}
    return _caddy(folder, changed(block("caddyfile", "reverse_proxy"), changes))


def compose(folder: Path, port: int, server: str) -> list[str]:
    """Write the configuration of compose.yaml, which has variables for both; return the command."""
    text = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    os.environ["CHAT_DOMAIN"] = f"https://127.0.0.1:{port}"
    os.environ["CHAT_SERVER"] = server.removeprefix("http://")
    return _caddy(folder, text)


@pytest.fixture(params=[nginx, caddy, compose], ids=lambda proxy: proxy.__name__)
async def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Run the server behind the proxy."""
    configure: Callable[[Path, int, str], list[str]] = request.param
    program = "nginx" if configure is nginx else "caddy"
    if shutil.which(program, path=PATH) is None:
        pytest.skip(
            f"{program} is not installed (Debian: apt install {'nginx-light' if configure is nginx else program})"
        )
    for name in ("CHAT_DOMAIN", "CHAT_SERVER"):
        monkeypatch.setenv(name, "")
    port = free_port()
    async with OpenAIServer() as upstream:
        settings: Json = {"model": "gpt-test", "base_url": upstream.base_url, "attachment_max_bytes": MOST_BYTES}
        async with (
            serve(tmp_path, **settings) as served,
            running(configure(tmp_path, port, served.url), tmp_path, port),
        ):
            site = Site(f"https://127.0.0.1:{port}", upstream, served)
            await site.ready()
            yield site


async def test_tokens_are_not_held_back(site: Site) -> None:
    """The model is silent after two tokens until the reader has both."""
    site.upstream.script(ANSWER, ANSWER, ANSWER)
    for accept in ("text/event-stream", "application/x-ndjson"):
        async with site.http() as http:
            async with http.post("/api/stream/message", json={"message": "Count"}, headers={"accept": accept}) as reply:
                assert (reply.status, reply.content_type) == (200, accept)
                text = b""
                while b"two" not in text:
                    text += await reply.content.readany()
                assert b"three" not in text
                site.upstream.release()
                assert b"three" in await reply.content.read()
    async with Tab(site.url) as tab:
        await tab.session.close()
        tab.session = site.http()
        async with asking(tab, "Count") as answer:
            await read_up_to(answer, "one two", within=PATIENCE)
            site.upstream.release()
            await answer.read()
        assert (answer.error, answer.text) == (None, "one two three")


async def test_a_websocket_passes(site: Site) -> None:
    site.upstream.script(ANSWER)
    async with site.http() as http, http.ws_connect("/api/stream/ws") as socket:
        await socket.send_json({"message": "Count"})
        messages: list[Json] = []
        async with asyncio.timeout(PATIENCE):
            while not messages or not messages[-1].get("done"):
                messages.append(await socket.receive_json())
                if "two" in messages[-1].get("token", ""):
                    site.upstream.release()
        assert "".join(message.get("token", "") for message in messages) == "one two three"


async def test_the_largest_upload_passes_and_is_refused_by_the_server_beyond(site: Site) -> None:
    async with site.http() as http:
        for size, status in ((MOST_BYTES, 200), (MOST_BYTES + 1, 413)):
            data = form(b"a" * size, "notes.txt", "text/plain")
            async with http.post("/api/attachments", data=data) as response:
                body = await response.json()
            assert response.status == status, body
            assert body["request_id" if status == 413 else "id"]


async def test_the_server_knows_that_browsers_use_https(site: Site) -> None:
    async with site.http() as http, http.get("/") as page:
        cookie = page.headers["set-cookie"]
    assert re.match(r"__Host-chatkit_user_\w+=.*; Secure\b", cookie, re.DOTALL), cookie
