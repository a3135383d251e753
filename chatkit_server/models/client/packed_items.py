"""Carry a part of a model input as the JSON that was kept of it, from the memory to the body of the request.

Of a long thread, nothing between the two reads the earlier messages. So they are neither decoded nor encoded again:
their JSON is the content of one stand-in item, which looks like a message to whoever orders items. What reads content
must call `unpacked` first. An input with stand-ins goes only where `EndpointProvider` models say they send them.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from pydantic_core import from_json, to_json

from .wire_items import FittedItems, PlainList


class PackedItems:
    """Items of an input that are all `is_message`, in parts of JSON with a comma after each item."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.parts = parts

    def stand_in(self) -> dict[str, Any]:
        """Return the item that takes their place. It cannot become JSON, so that it is never sent by mistake."""
        return {"type": "message", "role": "assistant", "content": self}


def unpacked(items: list[Any]) -> list[Any]:
    """Return the items with those of stand-ins in their place; without any, the list itself."""
    if type(items) is FittedItems and items.is_packed:
        return FittedItems(list(_unpacked(items)), are_messages=items.are_messages)
    return items


def unpack_in_place(items: PlainList) -> None:
    """Put the items of stand-ins in their place in a list of a body."""
    if items.is_packed:
        items[:] = list(_unpacked(items))
        items.is_packed = False


def _unpacked(items: Sequence[Any]) -> Iterator[Any]:
    for is_packed, group in groupby(items, key=is_stand_in):
        if is_packed:
            json = b"".join([part for item in group for part in item["content"].parts])
            yield from from_json(b"[" + json[:-1] + b"]", cache_strings="keys")
        else:
            yield from group


def is_stand_in(item: Any) -> bool:
    """Return whether this item stands for several."""
    return type(item.get("content")) is PackedItems


def body_json(body: dict[str, Any]) -> bytes:
    """Return the JSON of a body; `to_json` if nothing in it is packed."""
    if not any(type(value) is PlainList and value.is_packed for value in body.values()):
        return to_json(body)
    entries = ((name, list_json(value) if type(value) is PlainList else to_json(value)) for name, value in body.items())
    return b"{" + b",".join([to_json(name) + b":" + value for name, value in entries]) + b"}"


def list_json(items: PlainList, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return the JSON of a list of a body, between what comes before and after it.

    Its half a megabyte is put together in one step: each copy also drives the interpreter's own data from the
    processor's cache.
    """
    if not items.is_packed:
        return before + to_json(items) + after
    parts: list[bytes] = [before, b"["]
    for is_packed, group in groupby(items, key=is_stand_in):
        if is_packed:
            for item in group:
                parts += item["content"].parts
        else:
            parts += [to_json(list(group))[1:-1], b","]
    parts[-1] = parts[-1].removesuffix(b",")  # after the last item
    return b"".join([*parts, b"]", after])
