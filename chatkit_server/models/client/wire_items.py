"""Tell which items and tools of a request are plain JSON in wire form, and keep that knowledge with a list of items.

The history of a long thread has thousands of items, and each walk over them costs a millisecond or more. What was
checked once, when an exchange was converted, is not checked again in each request.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from ..fit_messages import fit_items

PLAIN_TOOLS = frozenset({"function"})
PLAIN_ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning"})
_MESSAGE = {"type", "role", "content", "phase"}
_PLAIN_KINDS = PLAIN_ITEMS | PLAIN_TOOLS


class FittedItems(list[Any]):
    """Items of a request that are in wire form, and that `fit_items` would return unchanged. Nobody changes them: who
    wants others makes another list.

    `are_messages` tells that all are `is_message`: the Agents SDK need not look for ids that occur twice. `is_packed`
    tells that there may be stand-ins of `packed_items.py` among them.
    """

    __slots__ = ("are_messages", "is_packed")

    def __init__(self, items: Sequence[Any] = (), *, are_messages: bool = False, is_packed: bool = False) -> None:
        super().__init__(items)
        self.are_messages = are_messages
        self.is_packed = is_packed


class PlainList(list[Any]):
    """Items or tools that are known to be plain JSON. They may be thousands, so they are checked only once."""

    __slots__ = ("is_packed",)

    def __init__(self, items: Sequence[Any] = ()) -> None:
        super().__init__(items)
        self.is_packed = type(items) is FittedItems and items.is_packed


def is_plain(value: object) -> bool:
    """Return whether this is plain JSON, unlike the client's `omit`, pydantic models and files."""
    if type(value) is str or type(value) is PlainList:
        return True
    if isinstance(value, dict):
        return all(type(key) is str and (type(entry) is str or is_plain(entry)) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))


def is_message(item: Mapping[str, Any]) -> bool:
    """Return whether this is a message without an id or anything else that is unusual."""
    return item.keys() <= _MESSAGE and _kind(item) == "message"


def is_fitted(items: Sequence[Any]) -> bool:
    """Return whether the items may be in `FittedItems`."""
    return is_wire_form(items) and fit_items(items) == items


def is_wire_form(value: object) -> bool:
    """Return whether this is a list of items or tools whose keys all have the same name on the wire."""
    return type(value) is FittedItems or (
        isinstance(value, list)
        and all(isinstance(entry, dict) and _kind(entry) in _PLAIN_KINDS and is_plain(entry) for entry in value)
    )


def _kind(entry: Mapping[str, Any]) -> Any:
    return entry.get("type", "message" if "role" in entry else None)
