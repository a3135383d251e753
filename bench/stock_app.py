"""The stock server: a ChatKit server as in the SDK's samples.

`ChatKitServer.process` + `stream_agent_response` + `StreamingResponse`, the plain `AsyncOpenAI` client and a store in
memory. It is neither tuned nor slowed down; having no database is in its favour.
"""

import os
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from agents import Agent, OpenAIResponsesModel, RunConfig, Runner
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    InferenceOptions,
    Page,
    ThreadItem,
    ThreadItemBase,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    UserMessageTextContent,
)
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

Context = dict[str, Any]
Row = TypeVar("Row", bound=ThreadMetadata | ThreadItemBase)

UNTRACED = RunConfig(tracing_disabled=True)  # otherwise the SDK uploads each turn, which is not what we measure


class MemoryStore(Store[Context]):
    """Keeps threads and items in dicts, as chatkit's samples do."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadMetadata] = {}
        self._items: dict[str, list[ThreadItem]] = {}

    def add_thread(self, thread_id: str, count: int) -> None:
        """Add a thread of `count` messages, half of them answers."""
        began = datetime.now()  # noqa: DTZ005  chatkit's own times are naive
        text = "What is said here is as long as a message of two lines, and means nothing. " * 2
        self._threads[thread_id] = ThreadMetadata(id=thread_id, created_at=began)
        self._items[thread_id] = [
            UserMessageItem(
                id=f"{thread_id}_{number}",
                thread_id=thread_id,
                created_at=began + timedelta(microseconds=number),
                content=[UserMessageTextContent(text=text)],
                inference_options=InferenceOptions(),
            )
            if number % 2 == 0
            else AssistantMessageItem(
                id=f"{thread_id}_{number}",
                thread_id=thread_id,
                created_at=began + timedelta(microseconds=number),
                content=[AssistantMessageContent(text=text)],
            )
            for number in range(count)
        ]

    async def load_thread(self, thread_id: str, context: Context) -> ThreadMetadata:
        if thread_id not in self._threads:
            raise NotFoundError(f"Thread {thread_id} not found")
        return self._threads[thread_id].model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: Context) -> None:
        fields = thread.model_dump(exclude={"items"})
        self._threads[thread.id] = ThreadMetadata(**fields)
        self._items.setdefault(thread.id, [])

    async def load_threads(self, limit: int, after: str | None, order: str, context: Context) -> Page[ThreadMetadata]:
        threads = sorted(self._threads.values(), key=lambda t: t.created_at, reverse=order == "desc")
        return _page(threads, limit, after)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Context
    ) -> Page[ThreadItem]:
        items = sorted(self._items.get(thread_id, []), key=lambda i: i.created_at, reverse=order == "desc")
        return _page(items, limit, after)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        await self.save_item(thread_id, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        items = self._items.setdefault(thread_id, [])
        for index, existing in enumerate(items):
            if existing.id == item.id:
                items[index] = item.model_copy(deep=True)
                return
        items.append(item.model_copy(deep=True))

    async def load_item(self, thread_id: str, item_id: str, context: Context) -> ThreadItem:
        for item in self._items.get(thread_id, []):
            if item.id == item_id:
                return item.model_copy(deep=True)
        raise NotFoundError(f"Item {item_id} not found")

    async def delete_thread(self, thread_id: str, context: Context) -> None:
        self._threads.pop(thread_id, None)
        self._items.pop(thread_id, None)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Context) -> None:
        self._items[thread_id] = [item for item in self._items.get(thread_id, []) if item.id != item_id]

    async def save_attachment(self, attachment: Attachment, context: Context) -> None:
        raise NotImplementedError

    async def load_attachment(self, attachment_id: str, context: Context) -> Attachment:
        raise NotImplementedError

    async def delete_attachment(self, attachment_id: str, context: Context) -> None:
        raise NotImplementedError


def _page(rows: list[Row], limit: int, after: str | None) -> Page[Row]:
    start = next((n + 1 for n, row in enumerate(rows) if row.id == after), 0)
    data = rows[start : start + limit]
    has_more = start + limit < len(rows)
    return Page(data=data, has_more=has_more, after=data[-1].id if has_more else None)


class StockServer(ChatKitServer[Context]):
    """The server of the SDK's quick start."""

    def __init__(self, agent: Agent[Any], threads: Mapping[str, int]) -> None:
        store = MemoryStore()
        for thread_id, count in threads.items():
            store.add_thread(thread_id, count)
        super().__init__(store)
        self._agent = agent

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        page = await self.store.load_thread_items(thread.id, after=None, limit=20, order="desc", context=context)
        agent_input = await simple_to_agent_input(list(reversed(page.data)))
        agent_context = AgentContext[Context](thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(self._agent, agent_input, context=agent_context, run_config=UNTRACED)
        async for event in stream_agent_response(agent_context, result):
            yield event


def create_app(base_url: str, threads: Mapping[str, int] | None = None) -> FastAPI:
    """Return the quick start's app, whose model is at `base_url`; `threads` are the lengths of those that exist."""
    client = AsyncOpenAI(base_url=base_url, api_key="bench")
    model = OpenAIResponsesModel("gpt-bench", client)
    agent = Agent[Any](name="Assistant", instructions="You are a helpful assistant.", model=model)
    server = StockServer(agent, threads or {})
    app = FastAPI()

    @app.post("/chatkit")
    async def chatkit(request: Request) -> Response:
        result = await server.process(await request.body(), {})
        if isinstance(result, StreamingResult):
            return StreamingResponse(result, media_type="text/event-stream")
        return Response(content=result.json, media_type="application/json")

    return app


def from_environment() -> FastAPI:
    """Return the app for `uvicorn --factory`."""
    threads = [entry.split("=") for entry in os.environ.get("BENCH_THREADS", "").split(",") if entry]
    return create_app(os.environ["BENCH_UPSTREAM"], {name: int(count) for name, count in threads})
