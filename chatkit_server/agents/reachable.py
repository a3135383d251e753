"""Find the agents that an agent can hand over to or call."""

from typing import Any

from agents import Agent, FunctionTool, Handoff


def reachable_agents(start: Agent[Any]) -> list[Agent[Any]]:
    """Return `start` and all agents that it can reach by handoffs, the nearest first."""
    reached: list[Agent[Any]] = [start]
    for agent in reached:  # grows while it is iterated: breadth first
        for handoff in agent.handoffs:
            target = _target(handoff)
            if target is not None and not any(target is other for other in reached):
                reached.append(target)
    return reached


def all_agents(start: Agent[Any]) -> list[Agent[Any]]:
    """Return `start` and all agents that it can reach by handoffs and by `as_tool`."""
    agents = reachable_agents(start)
    for agent in agents:  # grows while it is iterated
        for tool in agent.tools:
            if isinstance(tool, FunctionTool) and (nested := nested_agent(tool)) is not None:
                agents += [new for new in reachable_agents(nested) if not any(new is other for other in agents)]
    return agents


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


def nested_agent(tool: FunctionTool) -> Agent[Any] | None:
    """Return the agent that a tool of `as_tool` runs. The SDK keeps it in a private field (agents 0.24)."""
    agent = getattr(tool, "_agent_instance", None)
    return agent if isinstance(agent, Agent) else None
