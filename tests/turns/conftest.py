"""Test turns on the real stack: uvloop and httptools, a real model client, both databases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server import Actions, ChatServer, create_app
from chatkit_server.adopted import ContextMaker
from chatkit_server.agents.loading import AgentLike
from chatkit_server.run.server import ServerFactory
from tests.databases import is_guarded
from tests.serving import make_settings
from tests.support.live_server import live
from tests.support.openai_server import OpenAIServer
from tests.turns.chat import Chat

Start = Callable[..., Awaitable[Chat]]

LONG_WAITS = dict.fromkeys(["stop_seconds", "drain_seconds", "ping_seconds", "heartbeat_seconds"], 60.0)
"""Longer than tests wait for something, so they fail if the server does it only when one of these times is over."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], Any]]:
    """The event loop of `chatkit-server serve`."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    """The model's endpoint."""
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
def api() -> str:
    """Which of OpenAI's APIs the model uses; parametrise it where it matters."""
    return "responses"


@pytest.fixture
async def start(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, api: str, tmp_path: Path
) -> AsyncIterator[Start]:
    """Start the app with the test's agent, server class and settings."""
    async with AsyncExitStack() as stack:

        async def start(
            agent: AgentLike | None = None,
            server: ServerFactory = ChatServer,
            actions: Actions | None = None,
            context: ContextMaker | None = None,
            **settings: Any,
        ) -> Chat:
            defaults = {"model": "gpt-test", "base_url": upstream.base_url, "api": api, "model_retries": 0}
            where = {"database_url": database_url, "row_security": is_guarded(database_url)}
            values = {**LONG_WAITS, **defaults, **where, **settings}
            app = create_app(make_settings(tmp_path, **values), agent, server=server, actions=actions, context=context)
            url = await stack.enter_async_context(live(app))
            return Chat(app, url, upstream, engine)

        yield start


@pytest.fixture
async def chat(start: Start) -> Chat:
    """The app with the default agent."""
    return await start()
