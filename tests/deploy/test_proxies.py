"""The real nginx and Caddy with the configurations of docs/deploy.md: tokens, uploads and WebSockets pass."""

import asyncio
import os
import re
import shutil
import ssl
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.document import block, changed
from tests.files.uploading import form
from tests.serving import Served, Tab, serve
from tests.startup.test_doctor_url import free_port, listening
from tests.store.tls import local_certificate
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.support.sse import Json
from tests.turns.coming_back import asking, read_up_to
from tests.workers.processes import ROOT

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
ANSWER = Answer("one two three", hang_after=2)
PATIENCE = 30
MOST_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Site:
    """What browsers see, and what the server's model waits for."""

    url: str
    upstream: OpenAIServer
    served: Served

    def http(self) -> aiohttp.ClientSession:
        """Return a client that takes the proxy's certificate, and cookies of an IP address."""
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(ssl=_any_certificate()),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )

    async def ready(self) -> None:
        """Wait until the proxy has a certificate, which Caddy makes after it has begun to listen."""
        async with self.http() as http, asyncio.timeout(PATIENCE):
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    async with http.get("/healthz"):
                        return
                await asyncio.sleep(0.05)


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


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
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are for their user only
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {paths}\n{text}}}\n",
        encoding="utf-8",
    )
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]


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


@asynccontextmanager
async def running(command: list[str], folder: Path, port: int) -> AsyncIterator[Process]:
    environment = os.environ | {"PATH": PATH, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "proxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        await listening(port)
        yield process
    except TimeoutError:
        raise RuntimeError((folder / "proxy.log").read_text(encoding="utf-8")) from None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


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


async def test_the_server_knows_the_scheme_and_the_address_of_the_browser(site: Site) -> None:
    async with site.http() as http:
        async with http.get("/", headers={"x-forwarded-for": "203.0.113.9"}) as page:
            cookie = page.headers["set-cookie"]
        assert re.match(r"__Host-chatkit_user_\w+=.*; Secure\b", cookie, re.DOTALL), cookie
        async with http.get("/readyz") as response:
            assert response.status == 200
