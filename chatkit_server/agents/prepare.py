"""What the server changes in your agent before each run: input guardrails, a required tool, tool time limits, and the
log lines of failed tools. Also finds the agents that your agent can hand over to.
"""

import logging
from dataclasses import replace
from typing import Any

from agents import Agent, FunctionTool, Handoff, RunContextWrapper, ToolErrorFormatterArgs

from ..agent_context import AgentContext
from ..errors.log_format import redacted_traceback

logger = logging.getLogger(__name__)

LIMIT_MARK = "_chatkit_timeout"
"""Attribute of a tool: the time limit that was set here, so that another app with the same tool may set its own."""


# The agents that handoffs lead to


def reachable_agents(start: Agent[Any]) -> list[Agent[Any]]:
    """Return `start` and all agents that it can reach by handoffs, the nearest first."""
    reached: list[Agent[Any]] = [start]
    for agent in reached:  # grows while it is iterated: breadth first
        for handoff in agent.handoffs:
            target = _target(handoff)
            if target is not None and not any(target is other for other in reached):
                reached.append(target)
    return reached


def find_agent(start: Agent[Any], name: str) -> Agent[Any] | None:
    """Return the nearest agent of this name that `start` can reach, itself included, or None."""
    return next((agent for agent in reachable_agents(start) if agent.name == name), None)


def _target(handoff: Any) -> Agent[Any] | None:
    """Return the agent of a handoff. `handoff(agent)` keeps it in a private weak reference (agents 0.24); a handoff
    that was built by hand may have none."""
    if isinstance(handoff, Handoff):
        reference = getattr(handoff, "_agent_ref", None)
        handoff = reference() if reference is not None else None
    return handoff if isinstance(handoff, Agent) else None


# What the first agent of a run gets


def with_guardrails(agent: Agent[Any], configured: Agent[Any]) -> Agent[Any]:
    """Return `agent` with the input guardrails of `configured` added, or `agent` itself if it has them all.

    The Agents SDK checks only the guardrails of the agent that a run begins with (agents 0.24). After a handoff the
    next run begins with another agent, and would skip those that the author put on the configured one.
    """
    present = agent.input_guardrails
    missing = [guardrail for guardrail in configured.input_guardrails if guardrail not in present]
    return agent.clone(input_guardrails=[*present, *missing]) if missing else agent


async def require_tool(agent: Agent[Any], name: str, context: Any) -> Agent[Any]:
    """Return a copy of `agent` whose first model call must use the tool called `name`; later calls are free.

    Returns `agent` itself if it lacks that tool: endpoints refuse a tool choice that is not among the tools. Agents
    that it hands over to are not changed, for the same reason.
    """
    if name not in {tool.name for tool in await agent.get_all_tools(RunContextWrapper(context))}:
        logger.warning("the agent %s lacks the chosen tool %s; it answers without it", agent.name, name)
        return agent
    return agent.clone(model_settings=replace(agent.model_settings, tool_choice=name), reset_tool_choice=True)


# Time limits of tools


def limit_tools(agent: Agent[Any], seconds: float) -> None:
    """Set `timeout_seconds` on the tools of all agents that `agent` can reach, if a tool has no limit of its own.

    Tools that are not coroutines get none: a thread cannot be stopped, so the SDK refuses a limit (agents 0.24).
    """
    for reachable in reachable_agents(agent):
        for tool in reachable.tools:
            if isinstance(tool, FunctionTool) and getattr(tool, LIMIT_MARK, None) != seconds:
                _limit(tool, seconds)


def _limit(tool: FunctionTool, seconds: float) -> None:
    if tool.timeout_seconds is None or hasattr(tool, LIMIT_MARK):
        setattr(tool, LIMIT_MARK, seconds)
        if _accepts_limit(tool, seconds):
            tool.timeout_seconds = seconds
            tool.timeout_error_function = tool.timeout_error_function or report_timeout


def _accepts_limit(tool: FunctionTool, seconds: float) -> bool:
    try:
        replace(tool, timeout_seconds=seconds)
    except ValueError:
        return False
    return True


# Failed tools


def log_tool_failure(args: ToolErrorFormatterArgs[Any]) -> None:
    """Log a failed tool and mark its call as failed. For `RunConfig.tool_error_formatter`.

    The SDK calls it for tools without a `failure_error_function`, and itself logs nothing of the exception (agents
    0.24). Returning None keeps the SDK's text for the model.
    """
    match args.kind:
        case "tool_exception" if args.error is not None:
            logger.error("the tool %s failed\n%s", args.tool_name, redacted_traceback(args.error))
            _mark_failed(args.run_context.context, args.call_id)
        case "tool_not_found":
            logger.warning("the model called a tool that the agent does not have")


def report_timeout(context: RunContextWrapper[Any], error: Exception) -> str:
    """Log a tool's timeout, mark its call as failed, and return the text for the model. For
    `FunctionTool.timeout_error_function`."""
    logger.warning("%s", error)
    _mark_failed(context.context, getattr(context, "tool_call_id", ""))
    return str(error)


def _mark_failed(context: Any, call_id: str) -> None:
    if isinstance(context, AgentContext):
        context.failed_calls.add(call_id)
