"""Which handoff leads to a tool of another agent."""

from collections.abc import Iterable, Sequence
from typing import Any

from agents import Agent, Handoff


def routes_of(handoffs: Sequence[Handoff[Any, Any]]) -> dict[str, str]:
    """Return the handoff to take for each tool and handoff of the agents behind these handoffs, the nearest first."""
    routes: dict[str, str] = {}
    reached: list[tuple[str, Agent[Any]]] = []
    for handoff in handoffs:
        reached += [(handoff.tool_name, target) for target in _targets([handoff])]
    for first, agent in reached:  # grows while it is iterated: breadth first
        for name in [*(tool.name for tool in agent.tools), *map(_name, agent.handoffs)]:
            routes.setdefault(name, first)
        agents = [other for _, other in reached]
        reached += [
            (first, target) for target in _targets(agent.handoffs) if not any(target is other for other in agents)
        ]
    return routes


def _targets(handoffs: Iterable[Any]) -> list[Agent[Any]]:
    """Return their agents; `handoff(agent)` keeps its own in a private weak reference (agents 0.24)."""
    targets = [_target(handoff) for handoff in handoffs]
    return [target for target in targets if isinstance(target, Agent)]


def _target(handoff: Any) -> Any:
    if not isinstance(handoff, Handoff):
        return handoff
    reference = getattr(handoff, "_agent_ref", None)
    return None if reference is None else reference()


def _name(handoff: Any) -> str:
    return handoff.tool_name if isinstance(handoff, Handoff) else Handoff.default_tool_name(handoff)
