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

from tests.support.chatkit import ChatKitClient
from tests.support.live_server import live

AnyServer = Callable[[], ChatKitServer[Any]] | ChatKitServer[Any]
MakeContext = Callable[[Request], Any]


def request_in_dict(request: Request) -> dict[str, Any]:
    """Return the context that the samples pass to `process`."""
    return {"request": request}


def stock_app(server: AnyServer, context: MakeContext, router: APIRouter | None) -> FastAPI:
    """Return the app that such a server comes with."""
    app = FastAPI()
    app.state.server = server if isinstance(server, ChatKitServer) else server()

    @app.post("/chatkit")
    async def endpoint(request: Request) -> Response:
        result = await app.state.server.process(await request.body(), context(request))
        if isinstance(result, StreamingResult):
            return StreamingResponse(result, media_type="text/event-stream")
        return Response(content=result.json, media_type="application/json")

    if router is not None:
        app.include_router(router)
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

    @contextlib.asynccontextmanager
    async def serve(
        self, server: AnyServer, *, context: MakeContext = request_in_dict, router: APIRouter | None = None
    ) -> AsyncIterator[ChatKitClient]:
        """Yield a browser tab that shows the server."""
        app = stock_app(server, context, router)
        async with stock_client(), live(app) as url, ChatKitClient(url) as tab:
            yield tab


async def check_reload(tab: ChatKitClient, thread_id: str) -> None:
    """Check that a fresh tab shows the thread as this one does."""
    live_picture, reloaded = tab.pictures[thread_id], await tab.reload(thread_id)
    assert (reloaded.thread, reloaded.items) == (live_picture.thread, live_picture.items)
