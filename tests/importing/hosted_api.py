"""A server with the shape of OpenAI's hosted ChatKit API, whose threads and faults a test chooses."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.live_server import live

KEY = "a hosted key for tests"
NOON = 1_767_268_800  # 2026-01-01 12:00 UTC
PICTURE_PATH = "/pictures/{name}"
Json = dict[str, Any]


@dataclass
class HostedApi:
    """Threads by id, in the order in which they began."""

    url: str = ""
    threads: dict[str, Json] = field(default_factory=dict)
    items: dict[str, list[Json]] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    picture_faults: list[Response] = field(default_factory=list)
    """The next requests for a picture get these."""
    picture_headers: list[set[str]] = field(default_factory=list)
    """The names of the headers of each request for a picture."""
    requests: list[str] = field(default_factory=list)
    """The path and query of each request."""
    faults: list[Response] = field(default_factory=list)
    """The next requests get these instead of an answer."""
    on_request: Callable[[str], Response | None] = lambda path: None
    """May answer a request in another way."""

    def add(self, thread_id: str, *items: Json, user: str = "ada", **fields: Any) -> None:
        """Add a thread that began a minute after the one before it."""
        common = {"object": "chatkit.thread", "status": {"type": "active"}, "title": None, "user": user}
        created_at = NOON + 60 * len(self.threads)
        self.threads[thread_id] = {"id": thread_id, "created_at": created_at, **common, **fields}
        self.items[thread_id] = []
        self.extend(thread_id, *items)

    def extend(self, thread_id: str, *items: Json) -> None:
        """Add items to a thread, one a second."""
        for item in items:
            saved = self.items[thread_id]
            created_at = self.threads[thread_id]["created_at"] + len(saved)
            common = {"id": f"cthi_{thread_id}_{len(saved)}", "thread_id": thread_id, "created_at": created_at}
            saved.append({"object": "chatkit.thread_item", **common, **item})

    def app(self) -> Starlette:
        """Return the server."""
        return Starlette(
            routes=[
                Route("/v1/chatkit/threads", self._list_threads),
                Route("/v1/chatkit/threads/{thread_id}/items", self._list_items),
                Route(PICTURE_PATH, self._picture),
            ]
        )

    async def _list_threads(self, request: Request) -> Response:
        user = request.query_params.get("user")
        threads = [thread for thread in self.threads.values() if user in (None, thread["user"])]
        return self._answer(request, threads)

    async def _list_items(self, request: Request) -> Response:
        thread_id = request.path_params["thread_id"]
        if thread_id not in self.items:
            return failure(404, "No thread found")
        return self._answer(request, self.items[thread_id])

    async def _picture(self, request: Request) -> Response:
        self.picture_headers.append(set(request.headers))
        if self.picture_faults:
            return self.picture_faults.pop(0)
        content = self.pictures.get(request.path_params["name"])
        return Response(content, media_type="image/png") if content is not None else failure(404, "expired")

    def _answer(self, request: Request, entries: list[Json]) -> Response:
        path = f"{request.url.path}?{request.url.query}"
        self.requests.append(path)
        if (answer := self.on_request(path)) is not None:
            return answer
        if self.faults:
            return self.faults.pop(0)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return failure(401, "Incorrect API key provided")
        return page_of(request, entries)


def page_of(request: Request, entries: list[Json]) -> Response:
    """Return a page as the API does."""
    query = request.query_params
    if query.get("order", "desc") == "desc":
        entries = entries[::-1]
    ids = [entry["id"] for entry in entries]
    if (after := query.get("after")) is not None:
        if after not in ids:
            return failure(404, "No item found with this id")
        entries = entries[ids.index(after) + 1 :]
    limit = int(query.get("limit", 20))
    data = entries[:limit]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return JSONResponse({"object": "list", "data": data, "has_more": len(entries) > limit, **ends})


def failure(status: int, message: str, **headers: str) -> Response:
    """Return an error as the API does."""
    error = {"message": message, "type": "error", "code": None, "param": None}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": error}, status, headers=names)


@asynccontextmanager
async def hosted() -> AsyncIterator[HostedApi]:
    """Yield a running API without threads."""
    api = HostedApi()
    async with live(api.app()) as url:
        api.url = url
        yield api


def question(text: str = "How long does tea take?", **fields: Any) -> Json:
    """Return a message of a user."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "chatkit.user_message", "content": content, "attachments": [], "inference_options": None} | fields


def answer(text: str = "Three minutes.", **fields: Any) -> Json:
    """Return a message of the assistant."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "chatkit.assistant_message", "content": content} | fields
