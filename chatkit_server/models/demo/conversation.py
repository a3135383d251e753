"""Extract what the demo model reacts to: the last user message and the tool results after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.items import TResponseInputItem

FILE_PREFIXES = ("The user attached the file “", "[The user attached a file that ")
"""The start of a text part that stands for a file, as written by `files/user_files.py`."""
CONTEXT_PREFIXES = ("# User-provided context for @-mentions", "The user is referring to this in particular:")
"""The start of a user message with what the user mentioned or quoted, as chatkit (1.6.5) adds it after the message."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The output of one tool call since the last user message."""

    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The end of a conversation."""

    text: str
    """The last user message, or an empty string."""
    files: int
    """Number of images and files in that message."""
    results: tuple[ToolResult, ...]


def read_conversation(input: str | Sequence[TResponseInputItem]) -> Conversation:
    """Return the end of `input`, the Agents SDK's model input."""
    if isinstance(input, str):
        return Conversation(input, 0, ())
    items: list[dict[str, Any]] = [dict(item) for item in input]
    last = max((index for index, item in enumerate(items) if _is_users(item)), default=-1)
    parts = _parts(items[last].get("content")) if last >= 0 else []
    texts = [str(part.get("text", "")) for part in parts if part.get("type") == "input_text"]
    user_texts = [text for text in texts if not text.startswith(FILE_PREFIXES)]
    files = len(texts) - len(user_texts) + sum(part.get("type") in {"input_image", "input_file"} for part in parts)
    return Conversation("\n".join(user_texts).strip(), files, tuple(_results(items[last + 1 :])))


def _is_users(item: dict[str, Any]) -> bool:
    """Return whether the user wrote this message."""
    if item.get("role") != "user":
        return False
    first = next(iter(_parts(item.get("content"))), {})
    return not str(first.get("text", "")).startswith(CONTEXT_PREFIXES)


def _results(items: list[dict[str, Any]]) -> list[ToolResult]:
    names = {item.get("call_id"): str(item.get("name")) for item in items if item.get("type") == "function_call"}
    return [
        ToolResult(names.get(item.get("call_id"), "a tool"), _plain(item.get("output")))
        for item in items
        if item.get("type") == "function_call_output"
    ]


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [dict(part) for part in content or []]


def _plain(output: Any) -> str:
    if isinstance(output, str):
        return output
    return "\n".join(str(part.get("text", part.get("type"))) for part in _parts(output))
