"""The real app for a test: `create_app` on a real socket with its own database, and a browser tab that checks every
response.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatkit.types import ThreadMetadata
from fastapi import FastAPI
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import text

from chatkit_server import ChatServer, RequestContext, Settings, create_app
from chatkit_server.adopted import ContextMaker, ServerChoice
from chatkit_server.agents.workflows import AgentChoice
from chatkit_server.services import Services
from tests.databases import copy_sqlite, see_all
from tests.support.chatkit import ChatKitClient, Json, LiveReply, Picture
from tests.support.live_server import live

DATABASE = "chatkit.db"
SECRET = "a secret that is only for the tests"
PRODUCTION = {"environment": "production", "public_url": "https://chat.example", "allow_anonymous": True}
"""What a server in production needs besides the secret of `make_settings`."""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")
HIDDEN = frozenset({"hidden_context_item", "sdk_hidden_context"})
USER_TEXTS = frozenset({"text", "delta", "value", "message"})


class Tab(ChatKitClient):
    """A ChatKit frame that checks every response it has read (`check_answer`)."""

    @asynccontextmanager
    async def open(self, op: str, params: Json, headers: Mapping[str, str] | None = None) -> AsyncIterator[LiveReply]:
        """Like `ChatKitClient.open`."""
        async with super().open(op, params, headers) as reply:
            yield reply
        check_answer(reply)

    async def post_body(self, body: bytes | AsyncIterator[bytes], *, stream: bool = True) -> LiveReply:
        """Post raw bytes with the headers of a streaming, or another, operation."""
        headers = self._headers | ({"accept": "text/event-stream"} if stream else {})
        async with self.session.post(self._url, data=body, headers=headers) as response:
            reply = await LiveReply(response, Picture()).read()
        check_answer(reply)
        return reply


def check_answer(reply: LiveReply) -> None:
    """Check what must hold for every response.

    Times are UTC with an offset; hidden items stay hidden; a stream numbers its frames and has at most one error, at
    its end; an error is JSON with `message`, `code` and `request_id`; the request id is in the headers.
    """
    bodies = reply.events if reply.is_stream else [reply.body]
    for key, value in values_of(bodies):
        if isinstance(value, str) and key not in USER_TEXTS and MOMENT.fullmatch(value):
            assert value.endswith("Z"), f"{key} is {value}, which is not UTC with an offset"
        assert not (key == "type" and value in HIDDEN), f"a {value} left the server"
    assert reply.headers["x-request-id"]
    if reply.is_stream:
        assert reply.status == 200
        frames = [frame for frame in reply.frames if frame.comment is None]
        numbers = [frame.id for frame in frames]
        while numbers and numbers[0] is None:  # the snapshot for a reader that joins a running turn
            del numbers[0]
        assert None not in numbers
        ids = [int(number or 0) for number in numbers]
        assert ids == sorted(set(ids)), "frames are not in order"  # a slow reader gets several as one
        assert not ids or ids[0] == 1 or frames[0].id is None
        assert reply.types.count("error") <= 1
        assert "error" not in reply.types[:-1], "something came after the error"
    elif reply.status >= 400:
        assert set(reply.body) == {"code", "message", "request_id"}
        assert all(reply.body.values())
        assert reply.body["request_id"] == reply.headers["x-request-id"]


def values_of(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every plain value in `value` with its key."""
    match value:
        case dict():
            for name, entry in value.items():
                yield from values_of(entry, name)
        case list():
            for entry in value:
                yield from values_of(entry, key)
        case _:
            yield key, value


@dataclass
class Served:
    """A running app."""

    app: FastAPI
    url: str

    @property
    def services(self) -> Services:
        """The parts of the app."""
        services: Services = self.app.state.services
        return services

    def tab(self, **options: Any) -> Tab:
        """Return a new browser, which is a new user unless it gets cookies."""
        return Tab(self.url, **options)

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of an SQL statement."""
        async with self.services.engine.connect() as connection:
            await see_all(connection)
            return [dict(row._mapping) for row in await connection.execute(text(statement), values)]

    async def owner(self, thread_id: str) -> RequestContext:
        """Return the context of a thread's owner."""
        (row,) = await self.rows("SELECT user_id FROM threads WHERE id = :id", id=thread_id)
        return RequestContext(user_id=row["user_id"])

    async def load_thread(self, thread_id: str) -> ThreadMetadata:
        """Return the saved thread."""
        return await self.services.store.load_thread(thread_id, await self.owner(thread_id))


class GivenSettings(Settings):
    """Settings of arguments only: to look for each of a hundred settings in the environment takes as long as a test."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Called by pydantic-settings."""
        return (init_settings,)


def make_settings(folder: Path, **values: Any) -> Settings:
    """Return settings that ignore the environment: SQLite in `folder`, the demo model at full speed, and no titles."""
    defaults: dict[str, Any] = {
        "data_dir": folder,
        "database_url": f"sqlite:///{folder / DATABASE}",
        "secrets": SECRET,
        "model": "demo",
        "demo_tokens_per_second": 1e6,
        "titles": False,  # an extra model call, for tests of titles only
        "new_users_per_minute": 100_000,  # each test is a new user
        "show_tools": False,  # only for tests of tool display
    }
    return GivenSettings(**defaults | values)


@asynccontextmanager
async def serve(
    folder: Path,
    agent: AgentChoice | None = None,
    *,
    server: ServerChoice = ChatServer,
    context: ContextMaker | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Yield the app with these settings, on a real socket. A new SQLite database already has the schema."""
    if "database_url" not in settings and not (folder / DATABASE).exists():
        copy_sqlite(folder / DATABASE)
    app = create_app(make_settings(folder, **settings), agent, server=server, context=context)
    async with live(app) as url:
        yield Served(app, url)
