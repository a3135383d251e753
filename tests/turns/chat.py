"""The real app with the fake model endpoint, ways to disconnect abruptly, and a look at what is left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from yarl import URL

from tests.conftest import checked_out
from tests.databases import see_all
from tests.serving import Served, Tab
from tests.support.chatkit import user_input
from tests.support.openai_server import ModelRequest, OpenAIServer
from tests.support.sse import Json, RawStream

Conversation = list[tuple[str, str]]

LEAVING: dict[str, Callable[[RawStream], None]] = {"closed": RawStream.close, "reset": RawStream.reset}
"""How a client disconnects: with FIN like a closed tab, or with RST like a vanished peer."""


@dataclass
class Chat(Served):
    """The app with its model endpoint and its database."""

    upstream: OpenAIServer
    sql: AsyncEngine
    """The tests' own engine."""
    tasks_before: set["asyncio.Task[Any]"] = field(default_factory=lambda: all_tasks())

    async def visitor(self) -> Tab:
        """Return a browser that already has its cookie."""
        tab = self.tab()
        await tab.list()
        return tab

    async def post(
        self, tab: Tab, op: str, params: Json, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> RawStream:
        """Send one of the tab's streaming operations over a plain socket."""
        cookies = tab.cookies.filter_cookies(URL(self.url)).values()
        fields = {
            "cookie": "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies),
            "chatkit-frame-instance-id": tab.frame_id,
        }
        fields |= headers or {}
        return await RawStream.post(self.url, "/chatkit", {"type": op, "params": params}, fields, **options)

    async def ask(self, tab: Tab, words: str, thread_id: str | None = None, **options: Any) -> RawStream:
        """Send a message over a plain socket; without `thread_id` it creates a thread."""
        if thread_id is None:
            return await self.post(tab, "threads.create", {"input": user_input(words)}, **options)
        params = {"thread_id": thread_id, "input": user_input(words)}
        return await self.post(tab, "threads.add_user_message", params, **options)

    async def stop(self, tab: Tab, turn_id: str) -> tuple[int, Json]:
        """`POST /api/turns/{id}/stop`."""
        async with tab.session.post(f"{self.url}/api/turns/{turn_id}/stop") as response:
            return response.status, await response.json()

    async def select(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a plain SQL statement."""
        async with self.sql.connect() as connection:
            await see_all(connection)
            return [tuple(row) for row in await connection.execute(text(statement), values)]

    async def messages(self, thread_id: str) -> Conversation:
        """Return role and text of the messages, from the view for administrators."""
        query = "SELECT role, text FROM messages WHERE thread_id = :id ORDER BY position"
        return [(role, words) for role, words in await self.select(query, id=thread_id)]

    async def items(self, thread_id: str) -> list[str]:
        """Return the types of all rows of the thread, with hidden and replaced ones, without notices."""
        query = "SELECT type FROM thread_items WHERE thread_id = :id AND role <> 'notice' ORDER BY position"
        return [kind for (kind,) in await self.select(query, id=thread_id)]

    async def turns(self, thread_id: str) -> list[tuple[str, str | None]]:
        """Return status and stop reason of each turn of the thread."""
        query = "SELECT status, stop_reason FROM turns WHERE thread_id = :id ORDER BY started_at, id"
        return [(status, reason) for status, reason in await self.select(query, id=thread_id)]

    async def ended(self, thread_id: str, within: float = 30.0) -> None:
        """Wait until the log of the thread's running turn is closed."""
        user = await self.owner(thread_id)
        async with asyncio.timeout(within):
            for record in await self.services.turn_store.list(user, thread_id):
                if (turn := await self.services.turns.find(record.id, user)) is not None:
                    await turn.ended()

    async def quiet(self, within: float = 30.0) -> None:
        """Wait until every task since the start has ended and every connection is back in its pool.

        Raises `AssertionError` with the names of what is left.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while remaining := all_tasks() - self.tasks_before:
            _, pending = await asyncio.wait(remaining, timeout=max(deadline - loop.time(), 0))
            assert not pending, f"these tasks are left: {sorted(map(str, pending))}"
        while checked_out(self.services.engine):
            assert loop.time() < deadline, "a connection is still checked out"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def busy_database(chat: Chat) -> AsyncIterator[asyncio.Event]:
    """Hold the lock that every write needs; reads are not blocked.

    Yields an event that is set once the app has taken a connection for a turn, which is then waiting to write.
    """
    taken, turns = asyncio.Event(), chat.services.turns._local

    async def watch() -> None:
        # Without a turn, it is one of the heartbeat or of the listener, which may still be starting.
        while not (turns.ids() and checked_out(chat.services.engine)):  # noqa: ASYNC110 - on SQLite a thread takes it
            await asyncio.sleep(0.002)
        taken.set()

    is_sqlite = chat.sql.dialect.name == "sqlite"
    lock = "UPDATE threads SET title = title" if is_sqlite else "LOCK TABLE thread_items IN EXCLUSIVE MODE"
    async with chat.sql.connect() as connection:
        await connection.execute(text(lock))
        watching = asyncio.create_task(watch())
        try:
            yield taken
        finally:
            watching.cancel()
            await connection.rollback()


def all_tasks() -> set["asyncio.Task[Any]"]:
    """Return all tasks except the test's own and those of the fake endpoint, which has one per connection."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in tasks if task is not None and "RequestHandler.start" not in str(task.get_coro())}


def thread_of(stream: RawStream) -> str:
    """Return the id of the thread that the stream created."""
    (created,) = [event for event in stream.events if event["type"] == "thread.created"]
    thread_id: str = created["thread"]["id"]
    return thread_id


def model_input(request: ModelRequest) -> Conversation:
    """Return role and text of the messages in a model request, from either API."""
    messages: Sequence[Json] = request.body.get("input") or request.body.get("messages") or []
    return [
        (message["role"], _words(message["content"]))
        for message in messages
        if message.get("role") in {"user", "assistant"}
    ]


def _words(content: str | Sequence[Json] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text", "") for part in content)
