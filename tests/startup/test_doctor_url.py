"""`chatkit-server doctor --url`: each fault of a proxy is found, through a real one, and named with what to change."""

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chatkit_server.startup.doctor import Finding, deployment, examine_url, page_findings
from tests.routes.asgi import call
from tests.serving import Served, make_settings, serve
from tests.store.tls import local_certificate
from tests.support.careless_proxy import Faults, careless_proxy
from tests.support.ports import free_port, listening

PAGE = "https://app.example"
CHECKS = ["url", "host", "https", "stream", "websocket", "uploads", "headers", "cookies", "cors", "cors"]


@pytest.fixture(autouse=True)
def _no_cdn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the widget's script be at an address that is certainly away."""
    monkeypatch.setattr(page_findings, "WIDGET_SCRIPT", "http://127.0.0.1:9/chatkit.js")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path, cors_origins=[PAGE]) as served:
        yield served


async def findings(url: str, folder: Path, **settings: Any) -> list[Finding]:
    values = {"cors_origins": [PAGE], "widget": "open"} | settings
    return [finding async for finding in examine_url(url, make_settings(folder, **values))]


def faults_of(found: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.mark, finding.name, finding.text) for finding in found if finding.mark != "ok"]


async def test_a_server_without_a_proxy_is_fine(served: Served, tmp_path: Path) -> None:
    found = await findings(served.url, tmp_path)
    assert faults_of(found) == []
    assert [finding.name for finding in found] == CHECKS


async def test_a_careful_proxy_is_fine(served: Served, tmp_path: Path) -> None:
    async with careless_proxy(served.url, Faults()) as url:
        found = await findings(url, tmp_path)
    assert faults_of(found) == []
    assert [finding.name for finding in found] == CHECKS


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (
            Faults(
                buffers=True,
                drops_upgrades=True,
                max_body=1_000_000,
                removes=frozenset({"content-security-policy", "referrer-policy"}),
                keeps_cookies=True,
                answers_options=True,
            ),
            [
                ("WRONG", "stream", "proxy_buffering off"),
                ("WARN", "websocket", "/api/stream/ws answers 426 (nginx"),
                ("WRONG", "uploads", "client_max_body_size 21m;"),
                ("WARN", "headers", "removes or replaces referrer-policy and content-security-policy"),
                ("WRONG", "cookies", "is not accepted when it is sent back"),
                ("WRONG", "cors", "has status 204 and admits no origin"),
            ],
        ),
        (
            Faults(
                removes=frozenset({"cache-control", "access-control-allow-credentials"}),
                adds={"cache-control": "public, max-age=60"},
                cookie_ends="; Path=/",
            ),
            [
                ("WARN", "headers", "without `Cache-Control: private`"),
                ("WRONG", "cookies", "lacks HttpOnly or SameSite=Lax"),
                ("WRONG", "cors", "admits no cookies"),
            ],
        ),
        (
            Faults(adds={"access-control-allow-origin": "*"}, cookie_ends="; Path=/; HttpOnly; SameSite=Lax; Secure"),
            [
                ("WRONG", "cookies", "is Secure, so browsers drop it on http://"),
                ("WRONG", "cors", "has two Access-Control-Allow-Origin"),
                ("WRONG", "cors", "Pages of any origin are admitted"),
            ],
        ),
    ],
    ids=["streams and headers", "caches and cookies", "origins"],
)
async def test_the_faults_of_a_proxy_are_found(
    served: Served, tmp_path: Path, faults: Faults, expected: list[tuple[str, str, str]]
) -> None:
    async with careless_proxy(served.url, faults) as url:
        found = faults_of(await findings(url, tmp_path))
    assert [(mark, name) for mark, name, _ in found] == [(mark, name) for mark, name, _ in expected], found
    for (_, _, text), (_, _, words) in zip(found, expected, strict=True):
        assert words in text


async def test_a_compressing_proxy_is_found_even_where_it_passes_events_on(served: Served, tmp_path: Path) -> None:
    async with careless_proxy(served.url, Faults(compresses=True)) as url:
        found = faults_of(await findings(url, tmp_path))
    assert ("WARN", "stream", "The proxy compresses streams, which delays tokens. Exclude text/event-stream.") in found


async def test_a_proxy_that_sends_another_host_is_found(served: Served, tmp_path: Path) -> None:
    async with careless_proxy(served.url, Faults(host="backend.example")) as url:
        found = faults_of(await findings(url, tmp_path))
    assert (found[0][:2], "proxy_set_header Host $host" in found[0][2]) == (("WRONG", "host"), True)
    async with careless_proxy(served.url, Faults(host="127.0.0.1")) as url:
        found = faults_of(await findings(url, tmp_path))
    assert (found[0][:2], "Requests for another name" in found[0][2]) == (("WARN", "host"), True)
    assert ("WRONG", "websocket") in [(mark, name) for mark, name, _ in found]


async def test_https_is_checked_with_what_the_server_knows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, certificate = local_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with serve(tmp_path, cors_origins=[PAGE]) as served:
        async with careless_proxy(served.url, Faults(), tls) as url:
            (untrusted,) = await findings(url, tmp_path)
            assert "its TLS certificate is not trusted" in untrusted.text
            connector = aiohttp.TCPConnector(ssl=trusting)
            monkeypatch.setattr(
                "chatkit_server.startup.doctor.browser.aiohttp.ClientSession",
                partial(aiohttp.ClientSession, connector=connector),
            )
            monkeypatch.setattr(deployment, "HTTPS_PORTS", (int(url.rpartition(":")[2]),))
            async with careless_proxy(served.url, Faults()) as plain:
                monkeypatch.setattr(deployment, "PLAIN_PORT", int(plain.rpartition(":")[2]))
                found = faults_of(await findings(url, tmp_path))
    names = [(mark, name) for mark, name, _ in found]
    assert ("WARN", "https") in names
    assert any("Redirect it (nginx: `return 301" in text for _, _, text in found)


async def test_a_url_with_another_server_is_wrong(tmp_path: Path) -> None:
    (finding,) = await findings(f"http://127.0.0.1:{free_port()}", tmp_path)
    assert (finding.mark, "cannot be reached from here: Connection refused" in finding.text) == ("WRONG", True)
    (finding,) = await findings("chat.example", tmp_path)
    assert finding.text == "chat.example is not a URL such as https://chat.example.com"


async def test_the_widgets_script_is_looked_for(served: Served, tmp_path: Path) -> None:
    found = faults_of(await findings(served.url, tmp_path, widget="auto"))
    assert [(mark, name) for mark, name, _ in found] == [("WARN", "widget")]
    assert "(Connection refused). In such a network the page shows the open element" in found[0][2]
    found = faults_of(await findings(served.url, tmp_path, widget="stock"))
    assert [(mark, name) for mark, name, _ in found] == [("WRONG", "widget")]


async def test_probes_are_limited(served: Served) -> None:
    answers = await asyncio.gather(*(call(served.app, "GET", "/api/stream/probe") for _ in range(20)))
    statuses = [answer.status for answer in answers]
    assert statuses[:10] == [200] * 10
    assert statuses.count(429) >= 8  # one more is allowed each second


# The real nginx

NGINX = shutil.which("nginx")
CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {upstream}; {more} }} }}
}}
"""
DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deploy.md"
(DOCUMENTED,) = re.findall(r"^    location / \{\n(.*?)^    \}$", DEPLOYMENT.read_text(encoding="utf-8"), re.M | re.S)
CAREFUL = DOCUMENTED.partition("\n")[2]
"""The location of docs/deploy.md, without its address of the server."""


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (CAREFUL, []),
        (
            CAREFUL.replace("proxy_buffering off;", "") + "gzip on; gzip_types text/event-stream; gzip_min_length 1;",
            ["stream"],
        ),
        ("", ["websocket", "uploads"]),
    ],
    ids=["as documented", "compressing", "defaults"],
)
async def test_behind_nginx(served: Served, tmp_path: Path, more: str, expected: list[str]) -> None:
    port = free_port()
    file = tmp_path / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=tmp_path, port=port, upstream=served.url, more=more), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(str(NGINX), "-c", str(file), "-e", str(tmp_path / "error.log"))
    try:
        await listening(port)
        names = {name for _, name, _ in faults_of(await findings(f"http://127.0.0.1:{port}", tmp_path))}
    finally:
        process.terminate()
        await process.wait()
    assert set(expected) <= names
    assert expected or names == set()


@pytest.mark.parametrize(
    ("script", "is_local"),
    [('const k=""||"domain_pk_localhost_dev"', True), ('const k="domain_pk_6f"||"domain_pk_localhost_dev"', False)],
)
async def test_a_page_with_the_domain_key_of_local_development_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, is_local: bool
) -> None:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text('<script type="module" src="./assets/a.js"></script>', encoding="utf-8")
    (page / "assets/a.js").write_text(script, encoding="utf-8")
    async with serve(tmp_path, page_dir=page) as served:
        monkeypatch.setattr(page_findings, "WIDGET_SCRIPT", f"{served.url}/assets/a.js")
        assert not [
            text for _, _, text in faults_of(await findings(served.url, tmp_path, widget="auto", cors_origins=[]))
        ]
        monkeypatch.setattr(page_findings, "is_loopback_name", lambda name: False)
        found = faults_of(await findings(served.url, tmp_path, widget="auto", cors_origins=[]))
    assert ["VITE_CHATKIT_DOMAIN_KEY" in text for _, _, text in found] == [True] * is_local
