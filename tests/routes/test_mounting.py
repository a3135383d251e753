"""The chat in another app: below any prefix, beside another chat, and before it has been started."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest
from agents import Agent
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from chatkit_server import create_app, lifespan_of
from chatkit_server.agents.turn_runner import TurnRunner
from chatkit_server.errors.setup import SetupError
from tests.databases import copy_sqlite
from tests.files.uploading import form
from tests.serving import DATABASE, Tab, make_settings
from tests.support.live_server import live
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer

LINK = re.compile(r'(?:src|href)="([^"]+)"')


def mounted(chat: FastAPI) -> ASGIApp:
    app = FastAPI(lifespan=lifespan_of(chat))
    app.mount("/apps/chat", chat)
    return app


def in_starlette(chat: FastAPI) -> ASGIApp:
    return Starlette(lifespan=lifespan_of(chat), routes=[Mount("/apps/chat", chat)])


def in_an_inner_app(chat: FastAPI) -> ASGIApp:
    app, inner = FastAPI(lifespan=lifespan_of(chat)), FastAPI()
    inner.mount("/chat", chat)
    app.mount("/apps", inner)
    return app


def in_a_router(chat: FastAPI) -> ASGIApp:
    """A router that carries the lifespan, for an app that has one already."""
    router, app = APIRouter(lifespan=lifespan_of(chat)), FastAPI()
    router.mount("/chat", chat)
    app.include_router(router, prefix="/apps")
    return app


def behind_a_proxy_that_strips(chat: FastAPI) -> ASGIApp:
    """An app that adds to `root_path`, and not to `path`, what a proxy has removed."""
    app = FastAPI(lifespan=lifespan_of(chat))
    app.root_path = "/portal"  # FastAPI's parameter, which is deprecated (0.165)
    app.mount("/apps/chat", chat)
    return app


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


def chat_in(folder: Path, upstream: OpenAIServer | None = None, **values: object) -> FastAPI:
    folder.mkdir(exist_ok=True)
    copy_sqlite(folder / DATABASE)
    endpoint = {"model": "gpt-test", "base_url": upstream.base_url} if upstream else {}
    return create_app(make_settings(folder, **endpoint, **values))


@pytest.mark.parametrize("outer", [mounted, in_starlette, in_an_inner_app, in_a_router, behind_a_proxy_that_strips])
async def test_everything_works_below_a_prefix(
    tmp_path: Path, upstream: OpenAIServer, outer: Callable[[FastAPI], ASGIApp]
) -> None:
    upstream.script(Answer("one"), Answer("two"))
    async with live(outer(chat_in(tmp_path, upstream))) as url, aiohttp.ClientSession() as http:
        base = f"{url}/apps/chat/"
        async with http.get(base) as page:
            names = LINK.findall(await page.text())
        assert any(name.endswith(".js") for name in names)
        for name in [*names, "readyz", "api/docs", "api/openapi.json", "api/chatkit/options"]:
            async with http.get(urljoin(base, name)) as response:
                assert response.status == 200, name
        async with Tab(base.rstrip("/")) as tab:
            assert (await tab.create("Hello")).text == "one"
        params = {"name": "a.txt", "size": 5, "mime_type": "text/plain"}
        async with http.post(f"{base}chatkit", json={"type": "attachments.create", "params": params}) as response:
            target = (await response.json())["upload_descriptor"]["url"]
        prefix = "/portal" if outer is behind_a_proxy_that_strips else ""
        assert target.startswith(f"{url}{prefix}/apps/chat/api/attachments/")
        async with http.put(
            target.replace("/portal", ""), data=b"Hello", headers={"content-type": "text/plain"}
        ) as put:
            assert put.status in (200, 204), await put.text()
        async with http.post(f"{base}api/attachments", data=form(b"Hello", "b.txt", "text/plain")) as response:
            assert response.status == 200
        async with http.ws_connect(f"{base}api/stream/ws") as socket:
            await socket.send_json({"message": "Hello"})
            frames = [await socket.receive_json() for _ in range(3)]
            assert [frame["type"] for frame in frames] == ["started", "token", "done"]
        async with http.get(f"{base}api/nothing") as response:
            assert (response.status, (await response.json())["code"]) == (404, "not_found")


async def test_the_lifespan_of_the_app_is_around_that_of_the_chat(tmp_path: Path) -> None:
    chat, order = chat_in(tmp_path), []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        order.append(("opened", chat.state.is_running))
        yield {"pool": "a pool"}
        order.append(("closed", chat.state.is_running))

    app = FastAPI(lifespan=lifespan_of(chat, own=own))

    @app.get("/pool")
    def pool(request: Request) -> str:
        pool: str = request.state.pool
        return pool

    app.mount("/chat", chat)
    async with live(app) as url, aiohttp.ClientSession(url) as http:
        assert chat.state.is_running
        async with http.get("/pool") as response:
            assert await response.json() == "a pool"
    assert order == [("opened", False), ("closed", False)]


async def test_a_chat_that_was_not_started_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outer = FastAPI()
    outer.mount("/chat", chat_in(tmp_path))
    async with live(outer) as url, aiohttp.ClientSession(f"{url}/chat/") as http:
        for path in ("", "readyz", "api/chatkit/options"):
            async with http.get(path) as response:
                assert (response.status, (await response.json())["code"]) == (503, "not_started")
                assert "lifespan_of(chat)" in (await response.json())["message"]
        async with Tab(f"{url}/chat") as tab:
            reply = await tab.create("Hello")
            assert reply.error is not None
            assert "lifespan_of(chat)" in reply.error["message"], "the widget shows it"
        async with http.get("healthz") as response:
            assert response.status == 200
    assert "FastAPI(lifespan=lifespan_of(chat))" in caplog.text


async def test_its_router_cannot_be_included_without_its_middleware(tmp_path: Path) -> None:
    chat, app = chat_in(tmp_path), FastAPI()
    app.include_router(chat.router, prefix="/chat")
    with pytest.raises(SetupError, match="include_router"):
        async with app.router.lifespan_context(app):
            pass


async def test_probes_of_a_mounted_chat_may_have_any_host(tmp_path: Path) -> None:
    async with live(mounted(chat_in(tmp_path))) as url, aiohttp.ClientSession(headers={"host": "pod.example"}) as http:
        for path, status in (("healthz", 200), ("readyz", 200), ("", 403)):
            async with http.get(f"{url}/apps/chat/{path}") as response:
                assert response.status == status, path


def pair(first: FastAPI, second: FastAPI) -> FastAPI:
    app = FastAPI(lifespan=lifespan_of(first, second))
    app.mount("/first", first)
    app.mount("/second", second)
    return app


async def test_two_chats_in_one_process_share_nothing(tmp_path: Path, upstream: OpenAIServer) -> None:
    """Each has its agent, database, files, and cookie of the browser, which they sign with different secrets."""
    chats = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        copy_sqlite(folder / DATABASE)
        settings = make_settings(folder, model="gpt-test", base_url=upstream.base_url, secrets=name * 8)
        chats.append(create_app(settings, Agent(name=name, instructions=f"You are {name}.")))
    async with (
        live(pair(*chats)) as url,
        Tab(f"{url}/first") as first,
        Tab(f"{url}/second", cookies=first.cookies) as second,
    ):
        for _ in range(2):  # the second time, each knows its visitor
            for tab, name in ((first, "first"), (second, "second")):
                upstream.script(Answer(name))
                assert (await tab.create("Hello")).text == name
                assert f"You are {name}." in str(upstream.requests[-1].body)
        assert len({cookie.key for cookie in first.cookies}) == 2
        threads = [[thread["id"] for thread in await tab.history()] for tab in (first, second)]
        assert [len(ids) for ids in threads] == [2, 2]
        assert not set(threads[0]) & set(threads[1])


async def test_a_chat_keeps_what_the_process_needs_until_the_last_one_stops(tmp_path: Path) -> None:
    from agents.run import get_default_agent_runner

    first, second = chat_in(tmp_path / "first"), chat_in(tmp_path / "second")
    async with second.router.lifespan_context(second):
        async with first.router.lifespan_context(first):
            pass
        assert isinstance(get_default_agent_runner(), TurnRunner)
        assert not first.state.is_running
        assert second.state.is_running
    assert not isinstance(get_default_agent_runner(), TurnRunner)


async def test_two_databases_with_one_place_of_files_are_refused(tmp_path: Path) -> None:
    """Pruning of the one would delete the files of the other."""
    first = chat_in(tmp_path)
    second = create_app(make_settings(tmp_path, database_url=f"sqlite:///{tmp_path / 'second.db'}"))
    with pytest.raises(SetupError, match="CHATKIT_DATA_DIR"):
        async with lifespan_of(first, second)(None):
            pass
    async with lifespan_of(second)(None):
        pass


async def test_an_outage_of_one_database_is_not_that_of_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chats = [chat_in(tmp_path / name) for name in ("first", "second")]
    async with live(pair(*chats)) as url, aiohttp.ClientSession(url) as http:
        (tmp_path / "second" / DATABASE).unlink()
        (tmp_path / "second" / DATABASE).mkdir()
        await chats[1].state.services.engine.dispose()
        for path, status in (("second", 503), ("first", 200), ("second", 503)):
            async with http.get(f"/{path}/readyz") as response:
                assert response.status == status, path
        (first, second) = (chat.outage for chat in chats)  # type: ignore[attr-defined]
        assert second._failing
        assert not first._failing
    assert caplog.text.count("the database is unreachable") == 1
