"""Tools that fail: their author finds it in the log, their user sees it, and the model is told as the SDK tells it."""

import logging
from typing import Any

from agents import RunContextWrapper, ToolErrorFormatterArgs

from ..agent_context import AgentContext
from ..causes import describe_cause

logger = logging.getLogger(__name__)


def note_failure(args: ToolErrorFormatterArgs[Any]) -> None:
    """For `RunConfig.tool_error_formatter`, which the SDK asks where a tool's author has no `failure_error_function`.

    By itself the SDK logs nothing of a tool's exception (agents 0.24). None leaves what the model is told as it is.
    """
    context = args.run_context.context
    match args.kind:
        case "tool_exception" if args.error is not None:
            cause = describe_cause(args.error)
            logger.error("request %s: the tool %s failed\n%s", _request(context), args.tool_name, cause)
            _mark(context, args.call_id)
        case "tool_not_found":
            logger.warning("request %s: the model called a tool that it does not have", _request(context))


def timed_out(context: RunContextWrapper[Any], error: Exception) -> str:
    """For `FunctionTool.timeout_error_function`; what the model is told."""
    logger.warning("request %s: %s", _request(context.context), error)
    _mark(context.context, getattr(context, "tool_call_id", ""))
    return str(error)


def _mark(context: Any, call_id: str) -> None:
    if isinstance(context, AgentContext):
        context.failed_calls.add(call_id)


def _request(context: Any) -> str:
    return context.request_context.request_id if isinstance(context, AgentContext) else "-"
