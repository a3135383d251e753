"""A server that takes client secrets, and OpenAI's own client for it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from agents import Agent
from openai import AsyncOpenAI
from openai.types.beta.chatkit import ChatSession

from chatkit_server import RequestContext
from tests.serving import Served, Tab, serve
from tests.support.chatkit import Json

API_KEY = "a key that is only for the tests"


@dataclass
class Backend:
    """A customer's backend beside a running server."""

    served: Served
    openai: AsyncOpenAI
    contexts: list[RequestContext] = field(default_factory=list)
    """What the agent's function was called with."""

    async def create(self, user: str = "ada", workflow: str = "wf_1", **more: Any) -> ChatSession:
        """Make a session as code for the hosted backend does."""
        return await self.openai.beta.chatkit.sessions.create(user=user, workflow={"id": workflow}, **more)

    async def cancel(self, session_id: str) -> ChatSession:
        """Cancel a session."""
        return await self.openai.beta.chatkit.sessions.cancel(session_id)

    def tab(self, secret: str, **options: Any) -> Tab:
        """Return a page that sends a client secret."""
        return self.served.tab(headers={"authorization": f"Bearer {secret}"}, **options)

    async def post(self, path: str, body: Any = None, *, bearer: str | None = None) -> tuple[int, Json]:
        """Post JSON, or nothing, and return the status and the JSON answer."""
        headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        data = None if body is None else json.dumps(body)
        if data is not None:
            headers["content-type"] = "application/json"
        async with aiohttp.ClientSession() as session:
            async with session.post(self.served.url + path, data=data, headers=headers) as response:
                return response.status, await response.json()


@asynccontextmanager
async def serving_sessions(folder: Path, agent: Any = None, **settings: Any) -> AsyncIterator[Backend]:
    """Yield a backend whose server takes client secrets."""
    contexts: list[RequestContext] = []

    def support(context: RequestContext) -> Agent[Any]:
        contexts.append(context)
        return Agent(name="Support")

    values: dict[str, Any] = {"auth": "session", "api_keys": API_KEY, **settings}
    async with serve(folder, agent or support, **values) as served:
        async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=API_KEY, max_retries=0) as client:
            yield Backend(served, client, contexts)
