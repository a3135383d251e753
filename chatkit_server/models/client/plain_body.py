"""Move the fields of a request that are plain JSON to `extra_body`, which the openai client does not transform."""

from collections.abc import Collection, Mapping
from typing import Any

import openai
from openai.types.shared import Reasoning

from .wire_items import PlainList, is_plain, is_wire_form

PLAIN_FIELDS = frozenset({"include", "metadata", "text", "tool_choice", "stream_options", "response_format", "stop"})
"""Fields other than items and tools whose keys all have the same name on the wire."""
NOT_IN_BODY = frozenset({"stream", "extra_headers", "extra_query", "extra_body", "timeout"})
"""What the client itself needs to know."""


def with_plain_body(options: Mapping[str, Any], *, lists: Collection[str]) -> dict[str, Any]:
    """Return the options with all fields of the body that are plain JSON in `extra_body`, where omitted ones are left
    out. `lists` are the names of items and tools."""
    plain: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, openai.Omit | openai.NotGiven):
            continue
        if name in lists and is_wire_form(value):
            plain[name] = PlainList(value)
        elif name not in NOT_IN_BODY and _is_plain_field(name, value):
            plain[name] = value
        elif name == "reasoning" and type(value) is Reasoning:  # as the client dumps it
            plain[name] = value.model_dump(exclude_unset=True, mode="json")
        else:
            rest[name] = value
    extra = rest.get("extra_body")
    rest["extra_body"] = {**plain, **extra} if extra else plain
    return rest


def _is_plain_field(name: str, value: object) -> bool:
    return value is None or isinstance(value, str | int | float) or (name in PLAIN_FIELDS and is_plain(value))
