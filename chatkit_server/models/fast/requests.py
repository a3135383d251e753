"""Send requests through the openai client without transforming what is already in wire form.

openai 3.54 matches every tool and every message of the history against unions of up to 30 typed dicts before it sends
them: 2 ms for three tools, and more with each message. The Agents SDK passes plain JSON in wire form, so we move it to
`extra_body`, which the client merges into the body unchanged. Anything else takes the stock path.

Builds on public names only. tests/models/test_fast_requests.py compares the body with the stock client's.
"""

from collections.abc import Mapping
from typing import Any

from openai.resources.responses import AsyncResponses

PLAIN_TOOLS = frozenset({"function"})
PLAIN_ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning"})


class FastResponses(AsyncResponses):
    """`client.responses`."""

    async def create(self, **options: Any) -> Any:
        """See `AsyncResponses.create`."""
        plain = {name: options.pop(name) for name in ("input", "tools") if _is_wire_form(options.get(name))}
        if plain:
            options["extra_body"] = {**plain, **(options.get("extra_body") or {})}
        return await super().create(**options)


def _is_wire_form(value: object) -> bool:
    """Return whether this is a list of items or tools whose keys all have the same name on the wire."""
    return isinstance(value, list) and all(
        isinstance(entry, dict) and _kind(entry) in PLAIN_ITEMS | PLAIN_TOOLS and _is_plain(entry) for entry in value
    )


def _kind(entry: Mapping[str, Any]) -> Any:
    return entry.get("type", "message" if "role" in entry else None)


def _is_plain(value: object) -> bool:
    """Return whether this is plain JSON, unlike the client's `omit`, pydantic models and files."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, str | int | float)
