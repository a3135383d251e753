"""A tool that the user chose for one message."""

import logging
from dataclasses import replace
from typing import Any

from agents import Agent, RunContextWrapper

logger = logging.getLogger(__name__)


async def require_tool(agent: Agent[Any], name: str, context: Any) -> Agent[Any]:
    """A copy of `agent` whose first model call must use the tool called `name`; then it is free again.

    Only this agent's: one that it hands over to may have no such tool. The agent as it is where it has none itself,
    because every endpoint refuses a choice among tools that it was not given.
    """
    if name not in {tool.name for tool in await agent.get_all_tools(RunContextWrapper(context))}:
        logger.warning("the agent %s has no tool %s, which was chosen; it answers without", agent.name, name)
        return agent
    return agent.clone(model_settings=replace(agent.model_settings, tool_choice=name), reset_tool_choice=True)
