"""Contain each tool call: whatever a tool raises is logged, shown as failed and told to the model.

The Agents SDK (0.24) hides most failures: it logs no exception of a tool with a `failure_error_function`, which every
`agent.as_tool()` has, and ends the run for an exception that is not an `Exception`.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from agents import Agent, FunctionTool, ModelBehaviorError, RunContextWrapper, ToolErrorFormatterArgs

from ..agent_context import context_of_turn
from ..errors.author_code import AuthorCodeError, as_exception
from ..errors.log_format import redacted_traceback
from .reachable import all_agents, nested_agent

logger = logging.getLogger(__name__)

MARK = "_chatkit_contained"
"""Attribute of a tool's invoker: it is contained already."""

INVALID_ARGUMENTS = "The arguments are not valid for this tool. Call it again with a JSON object that fits its schema."

Call = Callable[..., Awaitable[Any]]


def contain_tools(agent: Agent[Any]) -> None:
    """Contain the tools of all agents that `agent` can reach by handoffs and by `as_tool`."""
    for reachable in all_agents(agent):
        for tool in reachable.tools:
            if isinstance(tool, FunctionTool):
                _contain_tool(tool)


def _contain_tool(tool: FunctionTool) -> None:
    """Wrap the tool's function, once. It sees an exception before the tool's `failure_error_function` handles it."""
    invoker: Any = tool.on_invoke_tool
    if getattr(invoker, MARK, False):
        return
    nested = nested_agent(tool)
    name = tool.name if nested is None else f"{tool.name} (agent {nested.name})"
    if hasattr(invoker, "_invoke_tool_impl"):  # a tool of `function_tool`, `as_tool` or an MCP server (agents 0.24)
        invoker._invoke_tool_impl = _contained(invoker._invoke_tool_impl, name)
    else:
        tool.on_invoke_tool = invoker = _contained(invoker, name)
    setattr(invoker, MARK, True)


def _contained(function: Call, tool_name: str) -> Call:
    @functools.wraps(function)  # the SDK finds how to parse the arguments in its attributes
    async def call_tool(context: Any, arguments: str) -> Any:
        task = asyncio.current_task()
        try:
            return await function(context, arguments)
        except KeyboardInterrupt:
            raise
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():  # the turn ends, or the tool's time limit has passed
                raise
            failure: Exception = AuthorCodeError("the tool was cancelled from inside")
            failure.__cause__ = error
        except BaseException as error:
            if asyncio.current_task() is not task:  # this coroutine is closed: GeneratorExit is not the tool's
                raise
            failure = as_exception(error)
        _report(failure, tool_name, getattr(context, "context", None), getattr(context, "tool_call_id", ""))
        raise failure

    return call_tool


def _report(failure: Exception, tool_name: str, context: Any, call_id: str) -> None:
    logger.error("the tool %s failed\n%s", tool_name, redacted_traceback(failure))
    _mark_failed(context, call_id)


def explain_tool_failure(args: ToolErrorFormatterArgs[Any]) -> str | None:
    """Return what the model reads of a failed call, None for the SDK's text. For `RunConfig.tool_error_formatter`.

    The SDK calls it for tools without a `failure_error_function`, and for calls of tools that do not exist.
    """
    match args.kind:
        case "tool_exception" if args.error is not None:
            if not _is_marked_failed(args.run_context.context, args.call_id):  # a tool that is not contained
                _report(args.error, args.tool_name, args.run_context.context, args.call_id)
            return INVALID_ARGUMENTS if isinstance(args.error, ModelBehaviorError) else None
        case "tool_not_found":
            logger.warning("the model called a tool that the agent does not have")  # its name may quote the user
            _mark_failed(args.run_context.context, args.call_id)
            return f"{args.default_message} Use only the tools that you have, by their exact names."
    return None


def report_timeout(context: RunContextWrapper[Any], error: Exception) -> str:
    """Log a tool's timeout, mark its call as failed, and return the text for the model. For
    `FunctionTool.timeout_error_function`."""
    logger.warning("%s", error)
    _mark_failed(context.context, getattr(context, "tool_call_id", ""))
    return str(error)


def _mark_failed(context: Any, call_id: str) -> None:
    if (turn := context_of_turn(context)) is not None:
        turn.failed_calls.add(call_id)


def _is_marked_failed(context: Any, call_id: str) -> bool:
    turn = context_of_turn(context)
    return turn is not None and call_id in turn.failed_calls
