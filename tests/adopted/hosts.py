"""The two hosts of a `ChatKitServer`: an endpoint with `process`, as its author wrote it, and our app.

A test that uses `host` runs on both, so what holds for the one holds for the other.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from agents.models import _openai_shared
from chatkit.server import ChatKitServer, StreamingResult
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

from chatkit_server import create_app, lifespan_of
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Tab, make_settings
from tests.support.chatkit import ChatKitClient
from tests.support.live_server import live

AnyServer = type[ChatKitServer[Any]] | ChatKitServer[Any]
MakeContext = Callable[[Request], Any]


def request_in_dict(request: Request) -> dict[str, Any]:
    """Return the context that the samples pass to `process`."""
    return {"request": request}


def stock_app(server: AnyServer, context: MakeContext, router: APIRouter | None) -> FastAPI:
    """Return the app that such a server comes with."""
    app = FastAPI()
    app.state.server = server if isinstance(server, ChatKitServer) else server()  # type: ignore[call-arg]  # without any

    @app.post("/chatkit")
    async def endpoint(request: Request) -> Response:
        result = await app.state.server.process(await request.body(), context(request))
        if isinstance(result, StreamingResult):
            return StreamingResponse(result, media_type="text/event-stream")
        return Response(content=result.json, media_type="application/json")

    if router is not None:
        app.include_router(router)
    return app


def beside(router: APIRouter, chat: FastAPI) -> FastAPI:
    """Return an app of the author's with routes of its own, in which ours is mounted, as docs/adopted.md says."""
    app = FastAPI(lifespan=lifespan_of(chat))
    app.include_router(router)
    app.mount("/", chat)
    return app


@contextlib.asynccontextmanager
async def stock_client() -> AsyncIterator[None]:
    """Give the Agents SDK a client that a test can close; its own stays open until the process ends."""
    async with AsyncOpenAI() as client:
        _openai_shared.set_default_openai_client(client)
        try:
            yield
        finally:
            _openai_shared._default_openai_client = None


class Host:
    """Serves one `ChatKitServer` at a time."""

    def __init__(self, name: str, folder: Path, model_url: str) -> None:
        self.name = name
        self._folder = folder
        self._model_url = model_url

    @property
    def is_stock(self) -> bool:
        """Whether `process` of chatkit answers."""
        return self.name == "stock"

    def app_for(self, server: AnyServer, context: MakeContext, router: APIRouter | None, settings: Any) -> FastAPI:
        """Return the app that serves the server at `/chatkit`, beside the routes of its author."""
        if self.is_stock:
            return stock_app(server, context, router)
        defaults = {"model": "gpt-test", "base_url": self._model_url, "api": "responses", "openai_api_key": "sk-ours"}
        if "database_url" not in settings and not (self._folder / DATABASE).exists():
            copy_sqlite(self._folder / DATABASE)
        # The context that our app makes by default is that of the samples.
        made = None if context is request_in_dict else context
        chat = create_app(make_settings(self._folder, **defaults | settings), server=server, context=made)
        return chat if router is None else beside(router, chat)

    @contextlib.asynccontextmanager
    async def serve(
        self,
        server: AnyServer,
        *,
        context: MakeContext = request_in_dict,
        router: APIRouter | None = None,
        **settings: Any,
    ) -> AsyncIterator[ChatKitClient]:
        """Yield a browser tab that shows the server; `settings` are those of our app."""
        app = self.app_for(server, context, router, settings)
        client = stock_client() if self.is_stock else contextlib.nullcontext()
        async with client, live(app) as url, (ChatKitClient if self.is_stock else Tab)(url) as tab:
            yield tab


async def check_reload(tab: ChatKitClient, thread_id: str) -> None:
    """Check that a fresh tab shows the thread as this one does."""
    live_picture, reloaded = tab.pictures[thread_id], await tab.reload(thread_id)
    assert (reloaded.thread, reloaded.items) == (live_picture.thread, live_picture.items)
