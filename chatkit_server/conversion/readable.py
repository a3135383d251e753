"""Render data other than text, such as the output of an agent with an `output_type`, as Markdown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents import ToolOutputFileContent, ToolOutputImage, ToolOutputText
from pydantic_core import to_jsonable_python

from .tool_display import humanized

INLINE_LENGTH = 80
"""Longest list, in characters, that is written in one line."""


def readable(output: Any) -> str:
    """Return the value as text: fields and entries as lists, a single text field as itself. Empty if there is none."""
    match output:
        case str():
            return output
        case ToolOutputText(text=text):
            return text
        case ToolOutputImage() | ToolOutputFileContent():
            return ""
        case list() | tuple() if any(isinstance(part, ToolOutputText | ToolOutputImage) for part in output):
            return "\n\n".join(filter(None, map(readable, output)))
    value = to_jsonable_python(output, fallback=str, serialize_unknown=True, bytes_mode="base64")
    if isinstance(value, dict) and len(value) == 1 and isinstance(text := next(iter(value.values())), str):
        return text
    return "\n".join(_lines(value)) if isinstance(value, dict | list) else _scalar(value)


def _lines(value: Mapping[str, Any] | Sequence[Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    entries = value.items() if isinstance(value, Mapping) else ((None, entry) for entry in value)
    for name, entry in entries:
        label = "" if name is None else f"**{humanized(str(name))}:**"
        if (text := _inline(entry)) is not None:
            lines.append(f"{indent}- {label} {text.replace(chr(10), chr(10) + indent + '  ')}".replace("-  ", "- "))
        elif label:
            lines += [f"{indent}- {label}", *_lines(entry, indent + "    ")]
        else:
            first, *others = _lines(entry, indent + "    ")
            lines += [f"{indent}- {first.strip().removeprefix('- ')}", *others]
    return lines


def _inline(value: Any) -> str | None:
    """Return the value in one line, or None if it needs lines of its own."""
    if not isinstance(value, dict | list):
        return _scalar(value)
    if not value:
        return "–"
    if isinstance(value, list) and not any(isinstance(entry, dict | list) for entry in value):
        text = ", ".join(map(_scalar, value))
        return text if len(text) <= INLINE_LENGTH and "\n" not in text else None
    return None


def _scalar(value: Any) -> str:
    match value:
        case str():
            return value
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
    return json.dumps(value)
