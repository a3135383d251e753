"""The app around the protocol: health, the page, what is not built yet, CORS, request ids, its start and end."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agents import Agent
from starlette.requests import HTTPConnection

from chatkit_server import RequestContext, __version__, create_app
from chatkit_server.auth import Auth, Secret
from chatkit_server.errors.setup import AgentSetupError, ModelSetupError, SetupError
from chatkit_server.routes import page
from chatkit_server.routes.not_available import ROUTES
from chatkit_store import open_engine
from chatkit_store.migrations import current, head
from tests.serving import SECRET, Served, make_settings, serve
from tests.support.live_server import live

PAGE = "https://app.example"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path, cors_origins=[PAGE]) as served:
        yield served


@pytest.fixture
async def http(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """Any HTTP client."""
    async with aiohttp.ClientSession(served.url) as http:
        yield http


async def get(http: aiohttp.ClientSession, path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    async with http.request(method, path, **more) as response:
        return response.status, await response.json()


# Health


async def test_health_says_that_the_process_lives_that_it_can_work_and_which_model_answers(
    http: aiohttp.ClientSession,
) -> None:
    assert await get(http, "/healthz") == (200, {"status": "ok"})
    assert await get(http, "/readyz") == (200, {"status": "ok", "database": "ok"})
    status, body = await get(http, "/api/stream/health")
    assert (status, body["status"], body["version"]) == (200, "ok", __version__)
    assert (body["model"]["provider"], body["model"]["name"]) == ("demo", "demo")
    assert body["model"]["note"].startswith("CHATKIT_MODEL=demo: a script answers")


async def test_without_its_database_the_server_lives_but_is_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    folder.mkdir()
    async with serve(tmp_path, database_url=f"sqlite:///{folder / 'chatkit.db'}") as served:
        await served.services.engine.dispose()  # its next connection opens the file anew
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


# What is not there


@pytest.mark.parametrize(("path", "methods"), ROUTES.items())
async def test_what_is_not_built_yet_says_so(http: aiohttp.ClientSession, path: str, methods: list[str]) -> None:
    for method in methods:
        status, body = await get(http, re.sub(r"\{.*?\}", "x_1", path), method)
        assert (status, body["code"], set(body)) == (501, "not_available", {"code", "message", "request_id"})


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("POST", "/api/nothing", 405, "http_error"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
        ("GET", "/assets/..%2f..%2f..%2fpyproject.toml", 404, "not_found"),
        ("GET", "/chatkit", 404, "not_found"),
        ("DELETE", "/healthz", 405, "http_error"),
        ("POST", "/api/turns/turn_unknown/stop", 404, "not_found"),
    ],
)
async def test_an_address_that_leads_nowhere_is_json_with_a_message(
    http: aiohttp.ClientSession, method: str, path: str, status: int, code: str
) -> None:
    async with http.request(method, path) as response:
        body = await response.json()
        assert (response.status, body["code"]) == (status, code)
        assert body["request_id"] == response.headers["x-request-id"]
        assert body["message"]


async def test_a_bug_in_any_route_is_json_with_the_requests_id(tmp_path: Path) -> None:
    class Broken(Auth):
        def authenticate(self, request: HTTPConnection) -> RequestContext:
            raise RuntimeError("oops")

    app = create_app(make_settings(tmp_path, cors_origins=[PAGE]))
    app.state.services = replace(app.state.services, auth=Broken(Secret(SECRET)))
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
        assert response.headers["cache-control"] == "no-cache"
    async with http.get("/assets/app-1234.js") as response:
        assert (response.status, await response.text()) == (200, "let x")


async def test_a_page_of_ones_own_takes_the_place_of_the_one_that_comes_with_the_server(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "assets").mkdir(parents=True)
    (own / "index.html").write_text("<title>My page</title>", encoding="utf-8")
    (own / "assets" / "mine.js").write_text("let x", encoding="utf-8")
    async with serve(tmp_path, page_dir=own) as served, aiohttp.ClientSession(served.url) as http:
        async with http.get("/") as response:
            assert (response.status, await response.text()) == (200, "<title>My page</title>")
        async with http.get("/assets/mine.js") as response:
            assert (response.status, await response.text()) == (200, "let x")


async def test_the_pages_head_can_be_asked_for(http: aiohttp.ClientSession) -> None:
    async with http.head("/") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["content-type"].startswith("text/html")


async def test_a_page_that_was_not_built_says_what_to_do_and_is_there_once_it_is(
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


# CORS

PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,chatkit-frame-instance-id,content-type",
}


async def test_a_page_of_a_listed_origin_may_call_with_its_cookie(http: aiohttp.ClientSession, served: Served) -> None:
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
        assert exposed == {"x-request-id", "x-chatkit-turn-id", "x-chatkit-thread-id", "etag"}


async def test_a_page_of_another_origin_may_not(http: aiohttp.ClientSession) -> None:
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


async def test_without_the_setting_no_page_elsewhere_may_call(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab(headers={"origin": PAGE}) as tab:
        reply = await tab.create("Hello")
    assert [name for name in reply.headers if name.lower().startswith("access-control")] == []


# Request ids


async def test_every_answer_has_an_id_of_its_own(http: aiohttp.ClientSession) -> None:
    ids = []
    for path in ("/", "/healthz", "/nothing", "/chatkit"):
        async with http.get(path) as response:
            ids.append(response.headers["x-request-id"])
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}", value) for value in ids)


@pytest.mark.parametrize("given", ["proxy-1.2_3", "x" * 64])
async def test_an_id_that_a_proxy_gave_is_kept_in_header_error_and_turn(served: Served, given: str) -> None:
    async with served.tab(headers={"x-request-id": given}) as tab:
        reply = await tab.create("Hello")
        error = await tab.post("threads.get_by_id", {"thread_id": "thr_unknown"})
    assert (reply.headers["x-request-id"], error.body["request_id"]) == (given, given)
    assert await served.rows("SELECT request_id FROM turns") == [{"request_id": given}]


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", "é"])
async def test_an_id_that_could_do_harm_in_a_log_is_replaced(http: aiohttp.ClientSession, given: str) -> None:
    async with http.get("/healthz", headers={"x-request-id": given}) as response:
        assert re.fullmatch(r"[0-9a-f]{16}", response.headers["x-request-id"])


# The body's limit


async def test_a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not(tmp_path: Path) -> None:
    async with serve(tmp_path, max_body_bytes=4096) as served, served.tab() as tab:
        body = b'{"type": "threads.list", "params": {}}'
        fits = await tab.post_body(body.ljust(4096), stream=False)
        over = await tab.post_body(body.ljust(4097), stream=False)
    assert (fits.status, fits.body["data"]) == (200, [])
    assert (over.status, over.body["code"]) == (413, "body_too_large")
    assert "4096 bytes" in over.body["message"]


# Start and end


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
def test_a_wrong_set_up_fails_at_once_with_a_sentence(
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


async def test_in_production_a_database_that_lacks_migrations_stops_the_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, environment="production")
    app = create_app(settings)
    with pytest.raises(SetupError, match="chatkit-server migrate"):
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")
    engine = open_engine(settings.database_url)
    try:
        assert await current(engine) is None
    finally:
        await engine.dispose()


async def test_two_apps_of_one_process_do_not_know_of_each_other(tmp_path: Path) -> None:
    async with (
        serve(tmp_path / "a", Agent(name="A"), database_url=f"sqlite:///{tmp_path / 'a.db'}") as one,
        serve(tmp_path / "b", Agent(name="B"), database_url=f"sqlite:///{tmp_path / 'b.db'}") as other,
        one.tab() as tab,
        one.tab(cookies=tab.cookies) as second_tab,
        one.tab() as other_browser,
        other.tab(cookies=tab.cookies) as same_browser,
    ):
        thread_id = (await tab.create("Hello")).thread_id
        assert [thread["id"] for thread in await second_tab.history()] == [thread_id]
        assert await other_browser.history() == []
        # Known there by the same signature, and still without threads: the databases are two.
        assert await same_browser.history() == []
        assert "set-cookie" not in (await same_browser.create("Hello")).headers
