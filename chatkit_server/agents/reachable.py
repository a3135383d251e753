"""Agents that an agent can hand over to, near or far."""

from typing import Any

from agents import Agent, Handoff


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
