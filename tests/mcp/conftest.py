"""Run the app with real MCP servers: as its child processes, or as processes with a port."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chatkit_server import ChatServer
from chatkit_server.mcp import McpServers
from chatkit_server.mcp.connection import McpTimeouts
from chatkit_server.run.server_parts import ServerParts
from tests.serving import Served, serve
from tests.support.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]
PROGRAM = ["-m", "tests.support.mcp_server"]
STDIO = {"command": sys.executable, "args": [*PROGRAM, "stdio"], "cwd": str(ROOT)}


class Process:
    """An MCP server with a port, which stays the same after a restart."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def spec(self) -> dict[str, Any]:
        path = "sse" if self.transport == "sse" else "mcp"
        return {"url": f"http://127.0.0.1:{self.port}/{path}", "transport": self.transport}

    async def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, *PROGRAM, self.transport, str(self.port)]
        null = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=null, stderr=null)
        async with asyncio.timeout(120):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return await writer.wait_closed()
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """Kill it, like a crash."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
def timeouts() -> McpTimeouts:
    """Short intervals and long patience for all servers of a test; a test may change them while the app runs."""
    return McpTimeouts(list_tools=20.0, check=0.1, first_retry=0.05, longest_retry=0.2)


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    """The model's endpoint."""
    async with OpenAIServer() as server:
        yield server


Start = Callable[..., Awaitable[Served]]


@pytest.fixture
async def start(upstream: OpenAIServer, tmp_path: Path, timeouts: McpTimeouts) -> AsyncIterator[Start]:
    """Start the app with these MCP servers."""

    def chat_server(parts: ServerParts) -> ChatServer:
        server = ChatServer(parts)
        server.mcp = McpServers(server.settings.mcp_servers, timeouts)
        return server

    async with AsyncExitStack() as stack:

        async def start(servers: dict[str, Any], agent: Any = None, **settings: Any) -> Served:
            endpoint: dict[str, Any] = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses"}
            app = serve(tmp_path, agent, server=chat_server, mcp_servers=servers, **endpoint | settings)
            return await stack.enter_async_context(app)

        yield start


@pytest.fixture
async def process(request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    """A server with a port, not started yet; parametrised with its transport."""
    process = Process(request.param)
    yield process
    await process.kill()


async def reported(served: Served) -> Any:
    """Return the state of the MCP servers in `/readyz`."""
    async with aiohttp.ClientSession() as http, http.get(f"{served.url}/readyz") as response:
        assert response.status == 200
        return (await response.json())["mcp"]


async def until_reported(served: Served, expected: Any, within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while await reported(served) != expected:  # noqa: ASYNC110 - polls like an administrator
            await asyncio.sleep(0.02)
