"""What the demo model understands of its input: the last user message and the tool results after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.items import TResponseInputItem

ATTACHED = ("The user attached the file “", "[The user attached a file that ")
"""How a part begins that is a file and no words of the user's (`files/model_input.py`)."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What one tool answered since the user spoke last."""

    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The end of a conversation, as far as a script can follow it."""

    text: str
    """The last user message, or "" where there is none."""
    files: int
    """Images and files that came with it."""
    results: tuple[ToolResult, ...]


def read_conversation(input: str | Sequence[TResponseInputItem]) -> Conversation:
    """The end of `input`, which is in the form that the Agents SDK gives a model."""
    if isinstance(input, str):
        return Conversation(input, 0, ())
    items: list[dict[str, Any]] = [dict(item) for item in input]
    last = max((at for at, item in enumerate(items) if item.get("role") == "user"), default=-1)
    parts = _parts(items[last].get("content")) if last >= 0 else []
    texts = [str(part.get("text", "")) for part in parts if part.get("type") == "input_text"]
    said = [text for text in texts if not text.startswith(ATTACHED)]
    files = len(texts) - len(said) + sum(part.get("type") in {"input_image", "input_file"} for part in parts)
    return Conversation("\n".join(said).strip(), files, tuple(_results(items[last + 1 :])))


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
