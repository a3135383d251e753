"""All MCP servers of the settings, as one thing that is opened, closed, asked for tools and reported on."""

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from agents import Agent, FunctionTool

from .connection import McpConnection
from .spec import McpSpec

logger = logging.getLogger(__name__)

START_SECONDS = 5.0
"""How long the start of the server waits for them."""


class McpServers:
    """`async with servers:` (or `start` and `close`) brackets their use."""

    def __init__(self, specs: Mapping[str, McpSpec]) -> None:
        self._connections = [McpConnection(name, spec) for name, spec in specs.items()]

    async def start(self, patience: float = START_SECONDS) -> None:
        """Connects to all at once and waits for `patience` seconds. Never raises: who is away may come later."""
        for connection in self._connections:
            connection.start()
        if self._connections:
            attempts = [asyncio.create_task(connection.attempted.wait()) for connection in self._connections]
            _, late = await asyncio.wait(attempts, timeout=patience)
            for attempt in late:
                attempt.cancel()

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.gather(*(connection.close() for connection in self._connections))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def problems(self) -> dict[str, str | None]:
        """For each server what is wrong with it, None for nothing."""
        return {connection.name: connection.problem for connection in self._connections}

    async def equip(self, agent: Agent[Any]) -> Agent[Any]:
        """A copy of the agent with the tools of the servers that are there, or the agent as it is. Never raises.

        A tool whose name the agent has already is left out.
        """
        if not self._connections:
            return agent
        found = await asyncio.gather(*(connection.tools() for connection in self._connections))
        taken = {tool.name for tool in agent.tools}
        added: list[FunctionTool] = []
        for tool in (tool for tools in found for tool in tools):
            if tool.name in taken:
                logger.warning("the agent has a tool %s already; that of an MCP server is left out", tool.name)
                continue
            taken.add(tool.name)
            added.append(tool)
        return agent.clone(tools=[*agent.tools, *added]) if added else agent
