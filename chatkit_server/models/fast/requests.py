"""Requests of the OpenAI client without its walk over what is in wire form already.

openai 3.54 matches every tool and every message of the history against unions of up to 30 typed dicts before it sends
them: 2 ms for three tools, and more with each message. What the Agents SDK hands over is plain JSON in wire form, so
it goes past that by `extra_body`, which the client merges into the body as it is. Anything else takes the stock way.
"""

from collections.abc import Mapping
from typing import Any

from openai.resources.responses import AsyncResponses

PLAIN_TOOLS = frozenset({"function"})
PLAIN_ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning"})


class FastResponses(AsyncResponses):
    """`client.responses`."""

    async def create(self, **options: Any) -> Any:
        """As `AsyncResponses.create`."""
        plain = {name: options.pop(name) for name in ("input", "tools") if _is_wire_form(options.get(name))}
        if plain:
            options["extra_body"] = {**plain, **(options.get("extra_body") or {})}
        return await super().create(**options)


def _is_wire_form(value: object) -> bool:
    """A list of items or tools whose every key has the same name on the wire."""
    return isinstance(value, list) and all(
        isinstance(entry, dict) and _kind(entry) in PLAIN_ITEMS | PLAIN_TOOLS and _is_plain(entry) for entry in value
    )


def _kind(entry: Mapping[str, Any]) -> Any:
    return entry.get("type", "message" if "role" in entry else None)


def _is_plain(value: object) -> bool:
    """Whether it is JSON as it stands: the client's `omit`, models and files are not."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, str | int | float)
