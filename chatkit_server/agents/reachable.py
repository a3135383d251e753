"""Agents that an agent can hand over to, near or far."""

from typing import Any

from agents import Agent, Handoff


def find_agent(start: Agent[Any], name: str) -> Agent[Any] | None:
    """The agent of this name that `start` can reach by handoffs, itself included; the nearest of several."""
    seen: list[Agent[Any]] = [start]
    for agent in seen:  # grows while it is read: breadth first
        if agent.name == name:
            return agent
        for handoff in agent.handoffs:
            target = _target(handoff)
            if target is not None and not any(target is known for known in seen):
                seen.append(target)
    return None


def _target(handoff: Any) -> Agent[Any] | None:
    """`handoff(agent)` keeps its agent in a private weak reference (agents 0.24); one made by hand may have none."""
    if isinstance(handoff, Handoff):
        reference = getattr(handoff, "_agent_ref", None)
        handoff = reference() if reference is not None else None
    return handoff if isinstance(handoff, Agent) else None
