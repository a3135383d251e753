"""Open, close and query all MCP servers of the settings together."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Self

from agents import Agent, FunctionTool

from .connection import McpConnection, McpTimeouts
from .problem import McpProblem
from .spec import McpSpec

logger = logging.getLogger(__name__)

START_SECONDS = 5.0
"""How long our start waits for the servers to connect."""


class McpServers:
    """The connections to all servers. Use `async with servers:`, or `start` and `close`."""

    def __init__(self, specs: Mapping[str, McpSpec], timeouts: McpTimeouts | None = None) -> None:
        self.timeouts = timeouts or McpTimeouts()
        self._connections = [McpConnection(name, spec, self.timeouts) for name, spec in specs.items()]

    async def start(self, patience: float = START_SECONDS) -> None:
        """Connect to all servers at once and wait up to `patience` seconds.

        Never raises: a server that is away is retried in the background.
        """
        for connection in self._connections:
            connection.start()
        if self._connections:
            attempts = [asyncio.create_task(connection.attempted.wait()) for connection in self._connections]
            _, unfinished = await asyncio.wait(attempts, timeout=patience)
            for attempt in unfinished:
                attempt.cancel()

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(connection.close() for connection in self._connections))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def problems(self) -> dict[str, McpProblem | None]:
        """Return for each server why it cannot be used now, or None if it can."""
        return {connection.name: connection.problem for connection in self._connections}

    def missing_tools(self) -> dict[str, list[str]]:
        """Return for each server the tools that the settings name, but it does not have."""
        return {connection.name: connection.missing_tools for connection in self._connections}

    async def with_tools(self, agent: Agent[Any]) -> Agent[Any]:
        """Return a copy of the agent with the tools of all connected servers, or the agent itself if there are none.

        Leaves out tools whose name is already taken. Never raises.
        """
        if not self._connections:
            return agent
        tools_by_server = await asyncio.gather(*(connection.tools() for connection in self._connections))
        names = {tool.name for tool in agent.tools}
        added: list[FunctionTool] = []
        for tool in (tool for tools in tools_by_server for tool in tools):
            if tool.name in names:
                logger.warning("the tool %s of an MCP server is left out: another tool has this name", tool.name)
                continue
            names.add(tool.name)
            added.append(tool)
        return agent.clone(tools=[*agent.tools, *added]) if added else agent
