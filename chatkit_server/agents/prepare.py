"""What the server changes in your agent before each run, and how it finds one among those it can hand over to."""

import logging
from dataclasses import replace
from typing import Any

from agents import Agent, FunctionTool, Handoff, RunContextWrapper, ToolErrorFormatterArgs

from ..agent_context import AgentContext
from ..errors.log_format import redacted_traceback

logger = logging.getLogger(__name__)


def reachable_agents(start: Agent[Any]) -> list[Agent[Any]]:
    """`start` and all agents that it can reach by handoffs, the nearest first."""
    seen: list[Agent[Any]] = [start]
    for agent in seen:  # grows while it is read: breadth first
        for handoff in agent.handoffs:
            target = _target(handoff)
            if target is not None and not any(target is known for known in seen):
                seen.append(target)
    return seen


def find_agent(start: Agent[Any], name: str) -> Agent[Any] | None:
    """The nearest agent of this name among those that `start` can reach, itself included."""
    return next((agent for agent in reachable_agents(start) if agent.name == name), None)


def _target(handoff: Any) -> Agent[Any] | None:
    """`handoff(agent)` keeps its agent in a private weak reference (agents 0.24); one made by hand may have none."""
    if isinstance(handoff, Handoff):
        reference = getattr(handoff, "_agent_ref", None)
        handoff = reference() if reference is not None else None
    return handoff if isinstance(handoff, Agent) else None


async def require_tool(agent: Agent[Any], name: str, context: Any) -> Agent[Any]:
    """A copy of `agent` whose first model call must use the tool called `name`; then it is free again.

    Only this agent's: one that it hands over to may have no such tool. The agent as it is where it has none itself,
    because every endpoint refuses a choice among tools that it was not given.
    """
    if name not in {tool.name for tool in await agent.get_all_tools(RunContextWrapper(context))}:
        logger.warning("the agent %s has no tool %s, which was chosen; it answers without", agent.name, name)
        return agent
    return agent.clone(model_settings=replace(agent.model_settings, tool_choice=name), reset_tool_choice=True)


def guarded_as(agent: Agent[Any], configured: Agent[Any]) -> Agent[Any]:
    """A copy of `agent` with the input guardrails of the configured one, or the agent as it is where it has them.

    The Agents SDK looks at those of the agent that a run begins with only (agents 0.24). The author put them at the
    front door, and a conversation that was handed over does not come through it again.
    """
    own = agent.input_guardrails
    missing = [one for one in configured.input_guardrails if one not in own]
    return agent.clone(input_guardrails=[*own, *missing]) if missing else agent


def note_failure(args: ToolErrorFormatterArgs[Any]) -> None:
    """For `RunConfig.tool_error_formatter`, which the SDK asks where a tool's author has no `failure_error_function`.

    By itself the SDK logs nothing of a tool's exception (agents 0.24). None leaves what the model is told as it is.
    """
    context = args.run_context.context
    match args.kind:
        case "tool_exception" if args.error is not None:
            cause = redacted_traceback(args.error)
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


MARK = "_chatkit_timeout"
"""On a tool: the limit that it got here, so that another app with the same tool may set its own."""


def limit_tools(agent: Agent[Any], seconds: float) -> None:
    """Gives the tools of all agents that `agent` can reach this `timeout_seconds`, where they have none.

    Not those that are no coroutines: nothing can stop a thread, so the SDK refuses a limit for it (agents 0.24).
    """
    for one in reachable_agents(agent):
        for tool in one.tools:
            if isinstance(tool, FunctionTool) and getattr(tool, MARK, None) != seconds:
                _limit(tool, seconds)


def _limit(tool: FunctionTool, seconds: float) -> None:
    if tool.timeout_seconds is None or hasattr(tool, MARK):
        setattr(tool, MARK, seconds)
        if _takes(tool, seconds):
            tool.timeout_seconds = seconds
            tool.timeout_error_function = tool.timeout_error_function or timed_out


def _takes(tool: FunctionTool, seconds: float) -> bool:
    try:
        replace(tool, timeout_seconds=seconds)
    except ValueError:
        return False
    return True
