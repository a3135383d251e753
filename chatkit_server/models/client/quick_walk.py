"""Replace the Agents SDK's walk over the input of a model call by an equal one that is four times as fast.

agents 0.24 copies the input up to four times per call, to make lists of lazy iterables, and asks for each text whether
it is one of three abstract classes: 3 ms for 1,500 messages. The functions are private, so they are replaced only where
they are what we know; without them, or in another version, the SDK does what it does.
"""

from types import ModuleType
from typing import Any

import agents.items
import agents.models.openai_chatcompletions
import agents.models.openai_responses
import agents.util._json

from .wire_items import FittedItems

NAME = "_to_dump_compatible"
USERS: tuple[ModuleType, ...] = (
    agents.items,
    agents.models.openai_responses,
    agents.models.openai_chatcompletions,
)
"""The modules that walk over the input."""

stock_walk = getattr(agents.util._json, NAME, None)


def quick_walk(value: Any) -> Any:
    """Return what `stock_walk` returns: a copy in which mappings are dicts and other iterables lists. `FittedItems`,
    which nobody changes, are returned as they are."""
    kind = type(value)
    if kind is dict:
        return {name: entry if type(entry) is str else quick_walk(entry) for name, entry in value.items()}
    if kind is list:
        return [entry if type(entry) is str else quick_walk(entry) for entry in value]
    if kind is FittedItems:
        return value
    assert stock_walk is not None
    return stock_walk(value)


def replace_walks() -> list[ModuleType]:
    """Replace the walk of each module that has the stock one. Returns these modules. Idempotent."""
    replaced = [module for module in USERS if stock_walk is not None and getattr(module, NAME, None) is stock_walk]
    for module in replaced:
        setattr(module, NAME, quick_walk)
    return replaced


replaced_walks = replace_walks()
"""The modules whose walk was replaced when this was imported."""
