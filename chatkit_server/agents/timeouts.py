"""A limit for each call of a tool whose author set none: its model is told, and can go on without the answer."""

from dataclasses import replace
from typing import Any

from agents import Agent, FunctionTool

from .failing import timed_out
from .reachable import reachable_agents

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
