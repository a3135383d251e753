"""The agents that an author's server seems to run: those beside its class, and those that it holds."""

import sys
from collections.abc import Iterable
from itertools import chain
from typing import Any

from agents import Agent
from chatkit.server import ChatKitServer

from ..agents.reachable import reachable_agents


def agents_of(author: ChatKitServer[Any]) -> list[Agent[Any]]:
    """Return the agents in the module of the author's class and in the attributes of its instance, also those in lists
    and dicts there, with those that they hand over to. Agents that its code makes for a request are not among them."""
    module = sys.modules.get(type(author).__module__)
    held = [*vars(module).values(), *vars(author).values()] if module is not None else [*vars(author).values()]
    agents: list[Agent[Any]] = []
    for start in chain.from_iterable(map(_parts, held)):
        for agent in reachable_agents(start) if isinstance(start, Agent) else ():
            if not any(agent is other for other in agents):
                agents.append(agent)
    return agents


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]
