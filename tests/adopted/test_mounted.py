"""An adopted server in an app of its author's: the author's code finds what it would have found in its own endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chatkit.types import ThreadItemDoneEvent, ThreadMetadata
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.sessions import SessionMiddleware

from chatkit_server import create_app
from tests.adopted.hosts import beside
from tests.adopted.play_server import PlayServer, message
from tests.adopted.servers.letter_box import LetterBoxServer
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Tab, make_settings
from tests.support.chatkit import ChatKitClient
from tests.support.live_server import live


async def hello(server: PlayServer, thread: ThreadMetadata, context: Any) -> Any:
    yield ThreadItemDoneEvent(item=message(thread, "hello", f"msg_{thread.id}"))


async def reads_the_body(server: PlayServer, thread: ThreadMetadata, context: Any) -> Any:
    body = await context["request"].json()
    yield ThreadItemDoneEvent(item=message(thread, f"{body['type']} for {context['user']}", f"msg_{thread.id}"))


async def make_context(request: Request) -> dict[str, Any]:
    """Return what an author's endpoint would pass to `process`."""
    body = await request.body()
    assert body == await request.body()
    return {"request": request, "user": request.session["user"], "size": len(body)}


def logged_in_user(request: Any) -> str | None:
    user: str | None = request.session.get("user")
    return user


def website(folder: Path, server: PlayServer) -> FastAPI:
    """Return an app with a login, a middleware and routes of its own, which mounts the chat at a path of a tenant."""
    copy_sqlite(folder / DATABASE)
    chat = create_app(make_settings(folder), server=server, context=make_context, auth=logged_in_user)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        async with chat.router.lifespan_context(chat):
            yield {"pool": "of the lifespan"}

    app = FastAPI(lifespan=lifespan)
    app.state.prices = "of the app"

    @app.middleware("http")
    async def log(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.request_id = "an-id-of-theirs"
        request.state.plan = "of the middleware"
        response = await call_next(request)
        response.headers["x-plan"] = request.state.plan
        return response

    app.add_middleware(SessionMiddleware, secret_key="secret")

    @app.get("/login/{user}")
    def log_in(request: Request, user: str) -> str:
        request.session["user"] = user
        return user

    @app.get("/files/{name}", name="file")
    async def list_threads(request: Request, name: str) -> list[str]:
        page = await server.store.load_threads(10, None, "desc", {"request": request})
        return [thread.id for thread in page.data]

    app.mount("/{tenant}/chat", chat)
    return app


async def test_its_context_is_made_of_the_request_of_the_outer_app(tmp_path: Path) -> None:
    server = PlayServer(hello)
    async with live(website(tmp_path, server)) as url, Tab(f"{url}/acme/chat") as tab:
        await tab.session.get(f"{url}/login/ada")
        reply = await tab.create("hello")
        assert (reply.error, reply.text) == (None, "hello")
        request = server.contexts[0]["request"]
        assert (request.app.state.prices, request.state.pool) == ("of the app", "of the lifespan")
        assert (request.url.path, request.path_params) == ("/acme/chat/chatkit", {"tenant": "acme"})
        assert str(request.url_for("file", name="a.txt")) == f"{url}/files/a.txt"
        assert (request.session, list(request.cookies)) == ({"user": "ada"}, ["session"])
        assert (request.state.plan, reply.headers["x-plan"]) == ("of the middleware", "of the middleware")
        assert request.state.request_id == reply.headers["x-request-id"] == "an-id-of-theirs"


async def test_its_code_may_read_the_body_of_the_request(tmp_path: Path) -> None:
    server = PlayServer(reads_the_body)
    async with live(website(tmp_path, server)) as url, Tab(f"{url}/acme/chat") as tab:
        await tab.session.get(f"{url}/login/ada")
        reply = await tab.create("hello")
        assert (reply.error, reply.text) == (None, "threads.create for ada")
        assert server.contexts[0]["size"] > 0


async def test_routes_of_the_outer_app_read_the_store_of_the_logged_in_user(tmp_path: Path) -> None:
    async with live(website(tmp_path, PlayServer(hello))) as url, Tab(f"{url}/acme/chat") as tab:
        await tab.session.get(f"{url}/login/ada")
        thread_id = (await tab.create("hello")).thread_id
        async with tab.session.get(f"{url}/files/any") as response:
            assert await response.json() == [thread_id]
        await tab.session.get(f"{url}/login/grace")
        async with tab.session.get(f"{url}/files/any") as response:
            assert await response.json() == []


async def test_an_endpoint_that_still_calls_process_shows_the_threads_of_its_user(tmp_path: Path) -> None:
    server, router = LetterBoxServer(), APIRouter()

    @router.post("/old/chatkit")
    async def endpoint(request: Request) -> Response:
        result: Any = await server.process(await request.body(), {"request": request})
        if hasattr(result, "json"):
            return Response(result.json, media_type="application/json")
        return StreamingResponse(result, media_type="text/event-stream")

    copy_sqlite(tmp_path / DATABASE)
    app = beside(router, create_app(make_settings(tmp_path), server=server))
    async with live(app) as url, Tab(url) as tab, ChatKitClient(f"{url}/old") as stranger:
        reply = await tab.create("Dear friend")
        async with ChatKitClient(f"{url}/old", cookies=tab.cookies) as old:
            assert [thread["id"] for thread in await old.history()] == [reply.thread_id]
            assert (await old.send(reply.thread_id, "Yours")).text == "Letter 2: Yours"
        assert await stranger.history() == []
        assert (await tab.reload(reply.thread_id)).texts()[-1] == ("assistant", "Letter 2: Yours")
