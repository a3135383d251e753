"""Pages of other sites cannot use a server that a browser can reach: neither by requests, nor by DNS rebinding."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from chatkit_server.errors.http import ForeignHost
from chatkit_server.routes import origin
from chatkit_server.routes.origin import allowed_hosts, is_allowed_host
from tests.serving import Served, make_settings, serve
from tests.support.chatkit import user_input

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "https://evil.example"
APP = "https://app.example"
CREATE = json.dumps({"type": "threads.create", "params": {"input": user_input("Hello")}})
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}
FILE = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--b--\r\n'
CHANGES: list[tuple[str, str, dict[str, str], str]] = [
    ("POST", "/chatkit", JSON, CREATE),
    ("POST", "/chatkit/", JSON, CREATE),
    ("POST", "/api/message", JSON, '{"message": "Hello"}'),
    ("POST", "/api/stream/message", JSON, '{"message": "Hello"}'),
    ("POST", "/api/entities/preview", JSON, '{"id": "a", "title": "A"}'),
    ("POST", "/api/attachments", FORM, FILE),
    ("PUT", "/api/attachments/atc_1/content?token=t", {}, "text"),
    ("POST", "/api/turns/turn_1/stop", {}, ""),
    ("POST", "/api/threads/thr_1/stop", {}, ""),
]
FOREIGN: list[dict[str, str]] = [
    {"origin": EVIL},
    {"origin": "null"},
    {"origin": "http://["},
    {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://localhost:1"},
    {"origin": APP + ".evil.example"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serve(tmp_path_factory.mktemp("served"), cors_origins=[APP]) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def http(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(served.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.mark.parametrize(("method", "path", "headers", "body"), CHANGES)
async def test_a_foreign_page_changes_nothing(
    http: aiohttp.ClientSession, served: Served, method: str, path: str, headers: dict[str, str], body: str
) -> None:
    before = await served.rows("SELECT count(*) FROM turns")
    for foreign in FOREIGN:
        async with http.request(method, path, data=body, headers=headers | foreign) as response:
            assert (response.status, (await response.json())["code"]) == (403, "foreign_origin"), foreign
    assert await served.rows("SELECT count(*) FROM turns") == before


@pytest.mark.parametrize(("method", "path", "headers", "body"), CHANGES)
async def test_own_and_listed_pages_and_scripts_are_served(
    http: aiohttp.ClientSession, served: Served, method: str, path: str, headers: dict[str, str], body: str
) -> None:
    proxied = {"sec-fetch-site": "same-origin", "origin": "https://behind-a-proxy.example"}
    listed = {"origin": APP, "sec-fetch-site": "cross-site"}
    for own in ({}, {"origin": served.url}, proxied, listed, {"sec-fetch-site": "none"}):
        async with http.request(method, path, data=body, headers=headers | own) as response:
            assert (await response.text()) is not None
            assert response.status in (200, 404) or (await response.json())["code"] == "link_expired"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_the_protocol_takes_json_only(http: aiohttp.ClientSession, served: Served, kind: str) -> None:
    """A page may send these types to any site without asking (a request without a preflight)."""
    before = await served.rows("SELECT count(*) FROM turns")
    for path in ("/chatkit", "/api/message", "/api/stream/message", "/api/entities/preview"):
        async with http.post(path, data=CREATE.encode(), headers={"content-type": kind}) as response:
            assert response.status == 400
            assert "application/json" in (await response.json())["message"]
    assert await served.rows("SELECT count(*) FROM turns") == before


async def test_a_listed_page_reads_why_it_was_refused(http: aiohttp.ClientSession) -> None:
    async with http.post("/chatkit", data="{", headers={"origin": APP, **JSON}) as response:
        assert (response.status, response.headers["access-control-allow-origin"]) == (400, APP)


async def test_a_listed_page_gets_the_cookie_before_it_sends_two_requests_at_once(http: aiohttp.ClientSession) -> None:
    """Each of them would make a new user otherwise."""
    async with http.get("/", headers={"origin": APP}) as page:
        assert page.headers["access-control-allow-origin"] == APP
        assert page.headers["access-control-allow-credentials"] == "true"
        assert page.cookies
    replies = [http.post("/chatkit", data=CREATE, headers={"origin": APP, **JSON}) for _ in range(2)]
    for reply in await asyncio.gather(*replies):
        assert "set-cookie" not in reply.headers
        await reply.read()


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_foreign_page_opens_no_socket(http: aiohttp.ClientSession, foreign: dict[str, str]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await http.ws_connect("/api/stream/ws", headers=foreign)
    assert refusal.value.status == 403


REBOUND = ("evil.example", "evil.example:8000", "evil", "localhost.evil.example", "127.0.0.1.evil.example", "[", ":")


async def test_a_name_pointed_at_a_loopback_address_is_refused(http: aiohttp.ClientSession, served: Served) -> None:
    """DNS rebinding: the browser believes that the server belongs to the page."""
    for host in REBOUND:
        for method, path, body in (("POST", "/chatkit", CREATE), ("GET", "/", ""), ("GET", "/api/entities?q=a", "")):
            origin = {"host": host, "origin": f"http://{host}"}
            async with http.request(method, path, data=body, headers=JSON | origin) as response:
                assert response.status == 403, host
                answer = await response.json()
            assert answer["code"] == "foreign_host"
            assert "CHATKIT_ALLOWED_HOSTS" in answer["message"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await http.ws_connect("/api/stream/ws", headers={"host": "evil.example", "origin": "http://evil.example"})
    assert refusal.value.status == 403


async def test_loopback_names_addresses_and_probes_are_served(http: aiohttp.ClientSession, served: Served) -> None:
    port = URL(served.url).port
    for host in (f"localhost:{port}", "LOCALHOST", "chat.localhost", "localhost.", "[::1]:8000", "10.1.2.3"):
        async with http.get("/", headers={"host": host}) as response:
            assert response.status == 200, host
    for path in ("/healthz", "/readyz"):
        async with http.get(path, headers={"host": "any-name.of.a.probe"}) as response:
            assert response.status == 200


async def test_a_client_without_a_host_is_served(served: Served) -> None:
    url = URL(served.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /api/chatkit/options HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()


LOOPBACK, NETWORK = ("127.0.0.1", 8000), ("10.0.0.5", 8000)


@pytest.mark.parametrize(
    ("host", "server", "settings", "is_allowed"),
    [
        ("chat.example.com", NETWORK, {}, False),
        ("chat.example.com", NETWORK, {"host": "chat.example.com"}, True),
        ("chat.example.com", LOOPBACK, {"public_url": "https://Chat.example.com/x"}, True),
        ("chat.example.com:443", LOOPBACK, {"allowed_hosts": "Chat.example.com"}, True),
        ("a.intra.example", LOOPBACK, {"allowed_hosts": ["*.intra.example"]}, True),
        ("intra.example", LOOPBACK, {"allowed_hosts": ["*.intra.example"]}, False),
        ("evilintra.example", LOOPBACK, {"allowed_hosts": ["*.intra.example"]}, False),
        ("evil.example", LOOPBACK, {"allowed_hosts": ["*"]}, True),
        ("chat-server_1", NETWORK, {}, True),  # the name of a container
        ("chat-server_1", LOOPBACK, {}, False),
        ("evil.example", NETWORK, {"environment": "production"}, False),
        ("evil.example", NETWORK, {"public_url": "https://chat.example"}, False),
        ("evil.example", NETWORK, {"allowed_hosts": ["chat.example"]}, False),
    ],
)
async def test_which_names_are_allowed(
    tmp_path: Path, host: str, server: tuple[str, int], settings: dict[str, Any], is_allowed: bool
) -> None:
    names = allowed_hosts(make_settings(tmp_path, **settings))
    assert is_allowed_host(host, names, server) == is_allowed


async def test_a_name_is_checked_once_but_at_each_address_and_a_long_one_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def check(host: str, *rest: Any) -> bool:
        checked.append(host)
        return is_allowed_host(host, *rest)

    monkeypatch.setattr(origin, "is_allowed_host", check)
    requests = origin.ForeignRequests(make_settings(tmp_path))
    long_host = f"{'a' * 300}.example"

    def is_allowed(host: str, server: tuple[str, int]) -> bool:
        headers = [(b"host", host.encode())]
        try:
            return requests._check(
                {"path": "/", "method": "POST", "headers": headers, "server": server, "type": "http"}
            )
        except ForeignHost:
            return False

    asked = [("chat-1", NETWORK), ("chat-1", LOOPBACK), (long_host, NETWORK)] * 2
    assert [is_allowed(*request) for request in asked] == [True, False, False] * 2
    assert checked == ["chat-1", "chat-1", long_host, long_host]


async def test_any_page_may_call_without_cookies_if_the_setting_says_so(tmp_path: Path) -> None:
    async with serve(tmp_path, cors_origins=["*"]) as served, served.tab(headers={"origin": EVIL}) as tab:
        thread_id = (await tab.create("Hello")).thread_id
        assert not list(tab.cookies), "a foreign page must not replace the cookie of the browser's user"
        assert (await tab.post("threads.get_by_id", {"thread_id": thread_id})).status == 404
