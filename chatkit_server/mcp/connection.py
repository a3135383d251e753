"""The connection to one MCP server, and the task that owns it: what a task opened, only that task may close (T46)."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agents import RunContextWrapper, UserError
from agents.mcp import MCPServer, MCPUtil
from agents.tool import FunctionTool, default_tool_error_function

from .client import open_server
from .spec import McpSpec

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 20.0
LIST_SECONDS = 2.0
"""How long an answer waits for a server to say which tools it has."""
CLOSE_SECONDS = 5.0
CHECK_SECONDS = 30.0
"""A connection that nobody uses is looked at this often."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds between attempts to connect; doubled each time."""
NAME_LENGTH = 64
NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
"""What models' endpoints do not take in the name of a tool; for one wrong name they refuse the whole request."""

T = TypeVar("T")


class McpConnection:
    """Keeps one server connected from `start` to `close`, as far as the server lets it."""

    def __init__(self, name: str, spec: McpSpec) -> None:
        self.name = name
        self.attempted = asyncio.Event()
        """The first attempt to connect is over."""
        self._spec = spec
        self._server: MCPServer | None = None
        self._reason = "not connected yet"
        self._doubted = asyncio.Event()
        """Something failed there, and the owner has not heard of it since."""
        self._owner: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """Why the server cannot be used now; None while it can."""
        if self._server is None:
            return self._reason
        return "it does not answer" if self._doubted.is_set() else None

    def start(self) -> None:
        """Begins to connect. Returns at once."""
        self._owner = asyncio.create_task(self._own(), name=f"mcp {self.name}")

    async def close(self) -> None:
        """Ends the connection; a server that was started for it ends too."""
        if self._owner is not None:
            self._owner.cancel()
            await asyncio.wait({self._owner})

    async def tools(self) -> list[FunctionTool]:
        """What the agent may call there now: nothing where the server is away. Never raises, never waits long."""
        server = self._server
        if server is None or self.problem is not None:
            logger.warning("the MCP server %s is away (%s); its tools are missing", self.name, self.problem)
            return []
        try:
            listed = await _within(LIST_SECONDS, server.list_tools)
            return [
                MCPUtil.to_function_tool(
                    tool,
                    server,
                    False,
                    failure_error_function=self._explain,
                    tool_name_override=NO_NAME.sub("_", tool.name)[:NAME_LENGTH],
                )
                for tool in listed
                if self._spec.tools is None or tool.name in self._spec.tools
            ]
        except Exception as error:  # a library's and a stranger's: it may be anything
            reason = reason_of(error)
            logger.warning("the MCP server %s lists no tools (%s), which are missing", self.name, reason)
            self._doubted.set()
            return []

    def _explain(self, context: RunContextWrapper[object], error: Exception) -> str:
        """What the model reads of a call that failed; the owner looks after the connection meanwhile."""
        # Only its class: the message may quote what somebody wrote.
        logger.warning("a tool of the MCP server %s failed (%s)", self.name, type(error).__name__)
        self._doubted.set()
        return default_tool_error_function(context, error)

    async def _own(self) -> None:
        wait = FIRST_WAIT
        while True:
            if await self._live():
                wait = FIRST_WAIT
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _live(self) -> bool:
        """One life of the connection; whether there was one."""
        server = open_server(self.name, self._spec)
        try:
            await self._connect(server)
            await self._watch(server)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            # What is cancelled without us is a task group of the client's that broke.
            self._reason = reason_of(error)
            level = logging.DEBUG if self.attempted.is_set() and self._server is None else logging.WARNING
            logger.log(level, "the MCP server %s is away (%s)", self.name, self._reason)
        finally:
            lived, self._server = self._server is not None, None
            self.attempted.set()
            await self._disconnect(server)
        return lived

    async def _connect(self, server: MCPServer) -> None:
        await _within(CONNECT_SECONDS, server.connect)
        tools = await _within(CONNECT_SECONDS, server.list_tools)
        logger.info("the MCP server %s is connected and has %d tools", self.name, len(tools))
        self._doubted.clear()
        self._server = server
        self.attempted.set()

    async def _watch(self, server: MCPServer) -> None:
        """Returns never; raises when the connection is lost.

        It has as long as a call to show itself: a server that does one thing at a time may be at work for somebody.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                await _within(CHECK_SECONDS, self._doubted.wait)
            await _within(self._spec.seconds, server.list_tools)
            self._doubted.clear()

    async def _disconnect(self, server: MCPServer) -> None:
        try:
            await _within(CLOSE_SECONDS, server.cleanup)
        except (Exception, asyncio.CancelledError) as error:  # what is broken cannot always be closed
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            logger.debug("the MCP server %s could not be closed (%s)", self.name, reason_of(error))


def reason_of(error: BaseException) -> str:
    """What is wrong, in a few words without addresses and keys: the innermost cause that says something."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case OSError(strerror=str(words)):
            return words
        case TimeoutError() | asyncio.CancelledError():
            return "it did not answer in time" if isinstance(error, TimeoutError) else "the connection broke"
        case UserError():  # the Agents SDK takes care that it holds no credentials
            return str(error).partition("\n")[0]
        case _:
            return type(error).__name__


def _is_cancelled() -> bool:
    """Whether somebody wants this task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _within(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """In this very task: `asyncio.wait_for` would do before Python 3.12 as well as in another."""
    async with asyncio.timeout(seconds):
        return await work()
