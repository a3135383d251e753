"""docs/mounting.md: its app, its commands and the real nginx, from the page to a streamed answer."""

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest

from tests.deploy.document import block, changed
from tests.deploy.proxies import PATH, PATIENCE, browser, nginx_with, running
from tests.files.uploading import form
from tests.store.tls import local_certificate
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.support.ports import free_port, listening
from tests.workers.processes import ROOT

DOCUMENT = (ROOT / "docs/mounting.md").read_text(encoding="utf-8")
SITE = "https://www.example.com/portal/chat"
ANSWER = Answer("one two three", hang_after=2)
LINK = re.compile(r'(?:src|href)="([^"]+)"')

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path=PATH) is None, reason="nginx is not installed (Debian: apt install nginx-light)"
)


@dataclass(frozen=True)
class Walk:
    """The site as its visitors see it, and what the document's commands need to be for it."""

    url: str
    app_port: int
    folder: Path
    upstream: OpenAIServer

    def http(self) -> aiohttp.ClientSession:
        return browser()

    def command(self, text: str) -> str:
        return text.replace(SITE, self.url).replace(
            "uvicorn my_app:app", f"exec uvicorn my_app:app --port {self.app_port}"
        )

    @property
    def environment(self) -> dict[str, str]:
        certificate = str(self.folder / "certificate.pem")
        path = f"{Path(sys.executable).parent}:{PATH}"
        return os.environ | {
            "PATH": path,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'store'}",
            "SSL_CERT_FILE": certificate,
            "CURL_CA_BUNDLE": certificate,
            "CHATKIT_MODEL": "gpt-test",
            "CHATKIT_BASE_URL": self.upstream.base_url,
            "CHATKIT_TITLES": "false",
            "CHATKIT_WIDGET": "open",
        }


def nginx(folder: Path, port: int, app_port: int) -> list[str]:
    """Write the document's configuration for these ports; return the command."""
    text = changed(
        block("nginx", "proxy_pass", DOCUMENT),
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "http://127.0.0.1:8000/": f"http://127.0.0.1:{app_port}/",
            "/etc/ssl/www.example.com.pem": f"{folder}/certificate.pem",
            "/etc/ssl/www.example.com.key": f"{folder}/key.pem",
        },
    )
    return nginx_with(text, folder)


@asynccontextmanager
async def app_of_the_document(walk: Walk) -> AsyncIterator[None]:
    """Run the command that starts the app, in a folder with its module."""
    (walk.folder / "my_app.py").write_text(block("python", "# my_app.py", DOCUMENT), encoding="utf-8")
    command = walk.command(block("sh", "--root-path", DOCUMENT))
    with (walk.folder / "app.log").open("wb") as log:
        process = await asyncio.create_subprocess_shell(
            command, cwd=walk.folder, env=walk.environment, stdout=log, stderr=log
        )
    try:
        for _ in range(6):
            with suppress(TimeoutError):
                await listening(walk.app_port)
                break
            assert process.returncode is None, (walk.folder / "app.log").read_text(encoding="utf-8")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def walk(tmp_path: Path) -> AsyncIterator[Walk]:
    port, app_port = free_port(), free_port()
    local_certificate(tmp_path)
    async with OpenAIServer() as upstream:
        walk = Walk(f"https://127.0.0.1:{port}/portal/chat", app_port, tmp_path, upstream)
        async with (
            app_of_the_document(walk),
            running(nginx(tmp_path, port, app_port), tmp_path, port),
        ):
            yield walk


async def run(command: str, walk: Walk) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_shell(
        command, cwd=walk.folder, env=walk.environment, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )


async def test_the_walk_ends_with_a_streamed_answer(walk: Walk) -> None:
    """As a browser does it, which follows the page's relative addresses; and with the document's commands."""
    async with walk.http() as http, asyncio.timeout(120):
        await _follow_the_page(walk, http)
        await _keep_a_file(walk, http)
        await _speak_over_a_websocket(walk, http)
        async with http.get(urljoin(walk.url, "prices")) as response:  # a route of the app, at /portal/prices
            assert await response.json() == {"chair": 40}
    doctor, curl = walk.command(block("sh", "doctor --url", DOCUMENT)).splitlines()
    process = await run(doctor, walk)
    report = (await process.communicate())[0].decode()
    assert (process.returncode, "WRONG" in report) == (0, False), report
    await _read_a_stream(walk, curl)


async def _follow_the_page(walk: Walk, http: aiohttp.ClientSession) -> None:
    async with http.get(walk.url) as page:
        assert str(page.url) == f"{walk.url}/"  # the redirect has the prefix
        assert page.status == 200
        names = LINK.findall(await page.text())
        assert "__Host-chatkit_user_" in page.headers["set-cookie"]
    assert any(name.endswith(".js") for name in names)
    for name in [*names, "element.js", "api/chatkit/options", "readyz"]:
        async with http.get(urljoin(f"{walk.url}/", name)) as response:
            assert response.status == 200, name


async def _keep_a_file(walk: Walk, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{walk.url}/api/attachments", data=form(b"Hello", "a.txt", "text/plain")) as response:
        assert response.status == 200, await response.text()
    params = {"name": "b.txt", "size": 5, "mime_type": "text/plain"}
    async with http.post(f"{walk.url}/chatkit", json={"type": "attachments.create", "params": params}) as response:
        link = (await response.json())["upload_descriptor"]["url"]
    assert link.startswith(f"{walk.url}/api/attachments/")
    async with http.put(link, data=b"Hello", headers={"content-type": "text/plain"}) as response:
        assert response.status in (200, 204), await response.text()


async def _speak_over_a_websocket(walk: Walk, http: aiohttp.ClientSession) -> None:
    walk.upstream.script(Answer("Hello, Ada."))
    async with http.ws_connect(f"{walk.url}/api/stream/ws") as socket:
        await socket.send_json({"message": "Hello"})
        frames = [await socket.receive_json()]
        while not frames[-1].get("done"):
            frames.append(await socket.receive_json())
    assert "".join(frame.get("token", "") for frame in frames) == "Hello, Ada."


async def _read_a_stream(walk: Walk, curl: str) -> None:
    """The model is silent after two tokens until the client has both."""
    walk.upstream.script(ANSWER)
    process = await run(curl, walk)
    assert process.stdout is not None
    text = b""
    async with asyncio.timeout(PATIENCE):
        while b"two" not in text:
            line = await process.stdout.readline()
            assert line, text
            text += line
        assert b"three" not in text
        walk.upstream.release()
        text += await process.stdout.read()
    assert b"three" in text
    assert b'"status":"completed"' in text
    await process.wait()
