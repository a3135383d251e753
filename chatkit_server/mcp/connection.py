"""Keep one MCP server connected, from a task that owns the connection.

The Agents SDK's clients must be closed in the task that opened them, so one task per server does both.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from agents import RunContextWrapper
from agents.mcp import MCPUtil
from agents.tool import FunctionTool, default_tool_error_function

from ..loops import backoff
from .client import make_client
from .problem import McpProblem, problem_of
from .spec import McpSpec

if TYPE_CHECKING:
    from agents.mcp import MCPServer

logger = logging.getLogger(__name__)

NAME_LENGTH = 64
INVALID_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
"""Model endpoints reject a whole request if one tool name contains any other character."""

T = TypeVar("T")


@dataclass
class McpTimeouts:
    """Time limits of a connection, in seconds."""

    connect: float = 20.0
    list_tools: float = 2.0
    """How long an answer waits for a server to list its tools."""
    close: float = 5.0
    check: float = 30.0
    """How often an idle connection is checked."""
    first_retry: float = 1.0
    longest_retry: float = 60.0
    """The pause between attempts to connect doubles from the first to the longest."""


class McpConnection:
    """Keeps one server connected from `start` to `close`; reconnects with exponential backoff."""

    def __init__(self, name: str, spec: McpSpec, timeouts: McpTimeouts) -> None:
        self.name = name
        self.attempted = asyncio.Event()
        """Set once the first attempt to connect has succeeded or failed."""
        self._spec = spec
        self._timeouts = timeouts
        self._server: MCPServer | None = None
        self._problem = McpProblem("not connected yet")
        self._refusal: int | None = None
        """The status of the last response, unless it was a success."""
        self._names: frozenset[str] = frozenset()
        self._suspect = asyncio.Event()
        """Set when a call fails; cleared once the server lists its tools again."""
        self._owner: asyncio.Task[None] | None = None

    @property
    def problem(self) -> McpProblem | None:
        """Why the server cannot be used now, or None if it can."""
        if self._server is None:
            return self._problem
        return McpProblem("it does not answer") if self._suspect.is_set() else None

    @property
    def missing_tools(self) -> list[str]:
        """The tools that the settings name, but the server did not have when it was connected."""
        approve = self._spec.approve if isinstance(self._spec.approve, list) else []
        return sorted({*(self._spec.tools or ()), *approve} - self._names)

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._owner = asyncio.create_task(self._keep_connected(), name=f"mcp {self.name}")

    async def close(self) -> None:
        """Close the connection, and end the server's process if we started it."""
        if self._owner is not None:
            self._owner.cancel()
            await asyncio.wait({self._owner})

    async def tools(self) -> list[FunctionTool]:
        """Return the tools that the agent may call now; none while the server is away.

        Waits at most `timeouts.list_tools` seconds. Never raises.
        """
        server, problem = self._server, self.problem
        if server is None or problem is not None:
            reason = problem.reason if problem is not None else ""
            logger.warning("the MCP server %s is away (%s); its tools are missing", self.name, reason)
            return []
        try:
            listed = await _within(self._timeouts.list_tools, server.list_tools)
            return [
                MCPUtil.to_function_tool(
                    tool,
                    server,
                    False,
                    failure_error_function=self._explain_failed_call,
                    tool_name_override=INVALID_IN_NAME.sub("_", tool.name)[:NAME_LENGTH],
                )
                for tool in listed
                if self._spec.tools is None or tool.name in self._spec.tools
            ]
        except Exception as error:  # from a library and a foreign server: it can be anything
            logger.warning("the MCP server %s cannot list its tools (%s)", self.name, self._problem_of(error).reason)
            self._suspect.set()
            return []

    def _explain_failed_call(self, context: RunContextWrapper[object], error: Exception) -> str:
        """Return what the model reads about a failed call, and have the owner check the connection."""
        # Only the class: the message may quote user content.
        logger.warning("a tool of the MCP server %s failed (%s)", self.name, type(error).__name__)
        self._suspect.set()
        return default_tool_error_function(context, error)

    async def _keep_connected(self) -> None:
        pauses = self._backoff()
        while True:
            if await self._connect_once():
                pauses = self._backoff()
            await asyncio.sleep(next(pauses))

    def _backoff(self) -> Iterator[float]:
        return backoff(self._timeouts.first_retry, self._timeouts.longest_retry)

    async def _connect_once(self) -> bool:
        """Connect and stay connected until the connection is lost; return whether it was ever established."""
        self._refusal = None
        server = make_client(self.name, self._spec, self._note_refusal)
        try:
            await self._connect(server)
            await self._watch(server)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            # A CancelledError without a request to cancel comes from a broken task group inside the client.
            self._problem = self._problem_of(error)
            level = logging.DEBUG if self.attempted.is_set() and self._server is None else logging.WARNING
            reason, advice = self._problem.reason, self._problem.advice
            logger.log(level, "the MCP server %s is away (%s). %s", self.name, reason, advice)
        finally:
            was_connected, self._server = self._server is not None, None
            self.attempted.set()
            await self._disconnect(server)
        return was_connected

    async def _connect(self, server: "MCPServer") -> None:
        await _within(self._timeouts.connect, server.connect)
        tools = await _within(self._timeouts.connect, server.list_tools)
        logger.info("the MCP server %s is connected and has %d tools", self.name, len(tools))
        self._names = frozenset(tool.name for tool in tools)
        if missing := self.missing_tools:
            logger.warning("the MCP server %s has no tool %s, which CHATKIT_MCP_SERVERS names", self.name, missing)
        self._suspect.clear()
        self._refusal = None
        self._server = server
        self.attempted.set()

    def _problem_of(self, error: BaseException) -> McpProblem:
        return problem_of(error, self._spec, self._refusal)

    def _note_refusal(self, status: int | None) -> None:
        self._refusal = status

    async def _watch(self, server: "MCPServer") -> None:
        """Check the connection until it is lost, then raise.

        A check may take as long as a tool call: a server that handles one request at a time may be busy with one.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                await _within(self._timeouts.check, self._suspect.wait)
            await _within(self._spec.seconds, server.list_tools)
            self._suspect.clear()

    async def _disconnect(self, server: "MCPServer") -> None:
        try:
            await _within(self._timeouts.close, server.cleanup)
        except (Exception, asyncio.CancelledError) as error:  # a broken connection cannot always be closed
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            logger.debug("the MCP server %s could not be closed (%s)", self.name, self._problem_of(error).reason)


def _is_cancelled() -> bool:
    """Return whether the current task has been asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _within(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in this task with a time limit; `asyncio.wait_for` before Python 3.12 uses another task."""
    async with asyncio.timeout(seconds):
        return await work()
