"""The app around the protocol: health, the page, reserved routes, CORS, request ids, startup and shutdown."""

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agents import Agent
from starlette.requests import HTTPConnection

from chatkit_server import User, __version__, create_app
from chatkit_server.errors.setup import AgentSetupError, ModelSetupError, SetupError
from chatkit_server.routes import page
from chatkit_server.routes.not_available import ROUTES
from chatkit_store import open_engine
from chatkit_store.migrations import current, head
from tests.serving import PRODUCTION, Served, make_settings, serve
from tests.support.live_server import live

PAGE = "https://app.example"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path, cors_origins=[PAGE]) as served:
        yield served


@pytest.fixture
async def http(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP client."""
    async with aiohttp.ClientSession(served.url) as http:
        yield http


async def get(http: aiohttp.ClientSession, path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    """Return status and JSON of a response."""
    async with http.request(method, path, **more) as response:
        return response.status, await response.json()


# Health


async def test_health_reports_liveness_readiness_and_the_model(
    http: aiohttp.ClientSession,
) -> None:
    assert await get(http, "/healthz") == (200, {"status": "ok"})
    assert await get(http, "/readyz") == (200, {"status": "ok", "database": "ok"})
    status, body = await get(http, "/api/stream/health")
    assert (status, body["status"], body["version"]) == (200, "ok", __version__)
    assert (body["model"]["provider"], body["model"]["name"]) == ("demo", "demo")
    assert body["model"]["note"].startswith("CHATKIT_MODEL=demo: a script answers")
    assert {"avg_latency_ms", "error_rate", "tokens_per_second", "running_turns", "ended_turns"} <= set(body)
    assert body["window_seconds"] == 300


async def test_without_its_database_the_server_is_live_but_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    folder.mkdir()
    async with serve(tmp_path, database_url=f"sqlite:///{folder / 'chatkit.db'}") as served:
        await served.services.engine.dispose()  # its next connection reopens the file
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        async with aiohttp.ClientSession(served.url) as http:
            assert await get(http, "/healthz") == (200, {"status": "ok"})
            status, body = await get(http, "/readyz")
            assert (status, body["code"]) == (503, "database_unavailable")
            assert body["message"].startswith("The database file cannot be opened. The server's log says more")
            assert str(folder) not in body["message"]
        async with served.tab() as tab:
            assert (await tab.create("Hello")).types == ["error"]
        folder.mkdir()


# Errors


@pytest.mark.parametrize(("path", "methods"), ROUTES.items())
async def test_reserved_routes_are_not_available(http: aiohttp.ClientSession, path: str, methods: list[str]) -> None:
    for method in methods:
        status, body = await get(http, re.sub(r"\{.*?\}", "x_1", path), method)
        assert (status, body["code"], set(body)) == (501, "not_available", {"code", "message", "request_id"})


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("POST", "/api/nothing", 404, "not_found"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
        ("GET", "/assets/..%2f..%2f..%2fpyproject.toml", 404, "not_found"),
        ("GET", "/chatkit", 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("POST", "/api/turns/turn_unknown/stop", 404, "not_found"),
    ],
)
async def test_an_unknown_address_gets_json_with_a_message(
    http: aiohttp.ClientSession, method: str, path: str, status: int, code: str
) -> None:
    async with http.request(method, path) as response:
        body = await response.json()
        assert (response.status, body["code"]) == (status, code)
        assert body["request_id"] == response.headers["x-request-id"]
        assert body["message"]


async def test_a_bug_in_any_route_gets_json_with_the_request_id(tmp_path: Path) -> None:
    async def broken(request: HTTPConnection) -> User:
        raise RuntimeError("oops")

    app = create_app(make_settings(tmp_path, cors_origins=[PAGE]), auth=broken)
    async with live(app) as url, aiohttp.ClientSession(url) as http:
        for method, path in (("GET", "/"), ("POST", "/api/turns/turn_1/stop"), ("POST", "/chatkit")):
            async with http.request(method, path, headers={"origin": PAGE}) as response:
                body = await response.json()
                assert (response.status, body["code"]) == (500, "internal_error"), path
                assert body["request_id"] == response.headers["x-request-id"], path
                assert "oops" not in body["message"], path
                assert response.headers["access-control-allow-origin"] == PAGE, path
                assert "x-request-id" in response.headers["access-control-expose-headers"], path


# The page


async def test_the_page_is_served_with_its_files(
    http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "built"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<title>The page</title>", encoding="utf-8")
    (built / "assets" / "app-1234.js").write_text("let x", encoding="utf-8")
    monkeypatch.setattr(page, "PLACES", (tmp_path / "nowhere", built))
    async with http.get("/") as response:
        assert (response.status, await response.text()) == (200, "<title>The page</title>")
        assert response.headers["cache-control"] == "private, no-cache"
    async with http.get("/assets/app-1234.js") as response:
        assert (response.status, await response.text()) == (200, "let x")


async def test_a_custom_page_replaces_the_packaged_one(tmp_path: Path) -> None:
    directory = tmp_path / "own"
    (directory / "assets").mkdir(parents=True)
    (directory / "index.html").write_text("<title>My page</title>", encoding="utf-8")
    (directory / "assets" / "mine.js").write_text("let x", encoding="utf-8")
    async with serve(tmp_path, page_dir=directory) as served, aiohttp.ClientSession(served.url) as http:
        async with http.get("/") as response:
            assert (response.status, await response.text()) == (200, "<title>My page</title>")
        async with http.get("/assets/mine.js") as response:
            assert (response.status, await response.text()) == (200, "let x")


async def test_a_directory_without_a_page_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(tmp_path, page_dir=tmp_path / "own"):
        assert "own has no index.html" in caplog.text


async def test_the_page_answers_head_requests(http: aiohttp.ClientSession) -> None:
    async with http.head("/") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["content-type"].startswith("text/html")


async def test_a_missing_page_says_how_to_build_it_and_is_served_once_built(
    http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PLACES", (tmp_path / "built",))
    async with http.get("/") as response:
        assert response.status == 200
        assert "make web" in await response.text()
    assert (await get(http, "/assets/app.js"))[0] == 404
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "index.html").write_text("now", encoding="utf-8")
    async with http.get("/") as response:
        assert await response.text() == "now"


async def test_the_api_describes_itself(http: aiohttp.ClientSession) -> None:
    status, body = await get(http, "/api/openapi.json")
    assert (status, body["info"]["version"]) == (200, __version__)
    assert {"/chatkit", "/healthz", "/readyz", "/api/stream/health", "/api/turns/{turn_id}/stop"} <= set(body["paths"])


async def test_the_description_loads_nothing_from_elsewhere(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/docs") as response:
        page = await response.text()
    loaded = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert {"/api/docs-files/swagger-ui-bundle.js", "/api/docs-files/swagger-ui.css", "/favicon.svg"} == set(loaded)
    assert "https://" not in page
    for path in (path for path in loaded if "docs-files" in path):
        async with http.get(path) as response:
            assert (response.status, response.headers["content-encoding"]) == (200, "gzip")


async def test_without_its_extra_the_description_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi_offline", None)
    async with serve(tmp_path) as served, aiohttp.ClientSession(served.url) as http:
        async with http.get("/api/docs") as response:
            assert (response.status, 'pip install "chatkit-server[docs]"' in await response.text()) == (200, True)
        assert (await get(http, "/api/openapi.json"))[0] == 200


# CORS

PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,chatkit-frame-instance-id,content-type",
}


async def test_a_page_from_a_listed_origin_may_send_its_cookie(http: aiohttp.ClientSession, served: Served) -> None:
    async with http.options("/chatkit", headers={"origin": PAGE} | PREFLIGHT) as response:
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["access-control-allow-credentials"] == "true"
        allowed = {name.strip().lower() for name in response.headers["access-control-allow-headers"].split(",")}
        assert allowed >= {"content-type", "chatkit-frame-instance-id", "authorization"}
    async with served.tab(headers={"origin": PAGE}) as tab:
        reply = await tab.create("Hello")
        refused = await tab.post("threads.get_by_id", {"thread_id": "thr_unknown"})
    for answer in (reply, refused):
        assert answer.headers["access-control-allow-origin"] == PAGE
        exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
        ours = {"x-request-id", "x-chatkit-turn-id", "x-chatkit-thread-id", "x-chatkit-error"}
        assert exposed == ours | {"etag", "retry-after"}


async def test_a_page_from_another_origin_may_not(http: aiohttp.ClientSession) -> None:
    other = "https://evil.example"
    async with http.options("/chatkit", headers={"origin": other} | PREFLIGHT) as response:
        assert response.status == 400
        assert "access-control-allow-origin" not in response.headers
    async with http.get("/healthz", headers={"origin": other}) as response:
        assert "access-control-allow-origin" not in response.headers


async def test_any_origin_means_no_cookies(tmp_path: Path) -> None:
    async with serve(tmp_path, cors_origins=["*"]) as served, served.tab(headers={"origin": PAGE}) as tab:
        reply = await tab.create("Hello")
    assert "access-control-allow-credentials" not in reply.headers


async def test_without_the_setting_no_other_origin_may_call(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab(headers={"origin": PAGE}) as tab:
        reply = await tab.create("Hello")
    assert [name for name in reply.headers if name.lower().startswith("access-control")] == []


# Request ids


async def test_every_response_has_its_own_id(http: aiohttp.ClientSession) -> None:
    ids = []
    for path in ("/", "/healthz", "/nothing", "/chatkit"):
        async with http.get(path) as response:
            ids.append(response.headers["x-request-id"])
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}", value) for value in ids)


@pytest.mark.parametrize("request_id", ["proxy-1.2_3", "x" * 64])
async def test_a_proxys_id_is_kept_in_header_error_and_turn(served: Served, request_id: str) -> None:
    async with served.tab(headers={"x-request-id": request_id}) as tab:
        reply = await tab.create("Hello")
        error = await tab.post("threads.get_by_id", {"thread_id": "thr_unknown"})
    assert (reply.headers["x-request-id"], error.body["request_id"]) == (request_id, request_id)
    assert await served.rows("SELECT request_id FROM turns") == [{"request_id": request_id}]


@pytest.mark.parametrize("request_id", ["a b", "x" * 65, "<script>", "é"])
async def test_an_id_that_is_unsafe_to_log_is_replaced(http: aiohttp.ClientSession, request_id: str) -> None:
    async with http.get("/healthz", headers={"x-request-id": request_id}) as response:
        assert re.fullmatch(r"[0-9a-f]{16}", response.headers["x-request-id"])


# Body limit


async def test_a_body_at_the_limit_is_accepted_and_one_byte_more_is_not(tmp_path: Path) -> None:
    async with serve(tmp_path, max_body_bytes=4096) as served, served.tab() as tab:
        body = b'{"type": "threads.list", "params": {}}'
        fits = await tab.post_body(body.ljust(4096), stream=False)
        over = await tab.post_body(body.ljust(4097), stream=False)
    assert (fits.status, fits.body["data"]) == (200, [])
    assert (over.status, over.body["code"]) == (413, "body_too_large")
    assert "4096 bytes" in over.body["message"]


# Startup and shutdown


def test_creating_an_app_opens_nothing(tmp_path: Path) -> None:
    create_app(make_settings(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"agent": "nowhere:agent"}, AgentSetupError, "no module 'nowhere'"),
        ({"agent": "nonsense"}, AgentSetupError, "package.module:name"),
        ({"agent": "os:path"}, AgentSetupError, "not an agents.Agent"),
        ({"model": "gpt-test"}, ModelSetupError, "OPENAI_API_KEY"),
        ({"base_url": "ftp://x", "model": "m"}, ModelSetupError, "CHATKIT_BASE_URL"),
        ({"database_url": "mysql://x/y"}, ValueError, "SQLite or PostgreSQL"),
        ({"tracing": True}, ModelSetupError, "CHATKIT_TRACING=true"),
    ],
)
def test_a_wrong_setup_fails_at_once_with_a_sentence(
    tmp_path: Path, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        create_app(make_settings(tmp_path, **settings))


async def test_in_development_the_database_is_migrated_and_threads_outlive_a_restart(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        assert await current(served.services.engine) == head()
        before = tab.pictures[(await tab.create("Hello")).thread_id]
        cookies = tab.cookies
    async with serve(tmp_path) as served, served.tab(cookies=cookies) as tab:
        assert (await tab.reload(before.thread["id"])).items == before.items


async def test_in_production_missing_migrations_prevent_the_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, **PRODUCTION)
    app = create_app(settings)
    with pytest.raises(SetupError, match="chatkit-server migrate"):
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")
    engine = open_engine(settings.database_url)
    try:
        assert await current(engine) is None
    finally:
        await engine.dispose()


async def test_two_apps_in_one_process_are_independent(tmp_path: Path) -> None:
    async with (
        serve(tmp_path / "a", Agent(name="A"), database_url=f"sqlite:///{tmp_path / 'a.db'}") as first,
        serve(tmp_path / "b", Agent(name="B"), database_url=f"sqlite:///{tmp_path / 'b.db'}") as other,
        first.tab() as tab,
        first.tab(cookies=tab.cookies) as second_tab,
        first.tab() as other_browser,
        other.tab(cookies=tab.cookies) as same_browser,
    ):
        thread_id = (await tab.create("Hello")).thread_id
        assert [thread["id"] for thread in await second_tab.history()] == [thread_id]
        assert await other_browser.history() == []
        # The other app accepts the cookie, but has a database of its own.
        assert await same_browser.history() == []
        assert "set-cookie" not in (await same_browser.create("Hello")).headers
