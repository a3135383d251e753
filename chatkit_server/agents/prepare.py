"""What the server changes in your agent before each run: input guardrails, a required tool, tool time limits."""

import logging
from dataclasses import replace
from typing import Any

from agents import Agent, FunctionTool, RunContextWrapper

from .reachable import reachable_agents
from .tool_failures import report_timeout

logger = logging.getLogger(__name__)

LIMIT_MARK = "_chatkit_timeout"
"""Attribute of a tool: the time limit that was set here, so that another app with the same tool may set its own."""


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
