"""Read the text and the thoughts of a message, whatever form its fields have."""

from collections.abc import Iterator
from typing import Any

Parts = tuple[str, str, str]
"""Text, thoughts and refusal."""


def split_content(content: Any) -> Parts:
    """Return the parts of `content`: a text, a part, or a list of texts and parts."""
    texts: dict[str, list[str]] = {"text": [], "thoughts": [], "refusal": []}
    for kind, text in _pieces(content):
        texts[kind].append(text)
    return "".join(texts["text"]), "".join(texts["thoughts"]), "".join(texts["refusal"])


def plain_text(value: Any) -> str:
    """Return the text in a value, such as a list of thoughts."""
    match value:
        case str():
            return value
        case list():
            return "".join(plain_text(entry) for entry in value)
        case dict():
            for name in ("text", "content", "thinking", "reasoning", "summary"):
                if text := plain_text(value.get(name)):
                    return text
    return ""


def _pieces(content: Any) -> Iterator[tuple[str, str]]:
    match content:
        case str():
            yield "text", content
        case list():
            for part in content:
                yield from _pieces(part)
        case {"type": "thinking" | "reasoning" | "reasoning_content" | "redacted_thinking"}:
            yield "thoughts", plain_text(content)
        case {"type": "refusal", "refusal": str(refusal)}:
            yield "refusal", refusal
        case {"text": str(text)} | {"text": {"value": str(text)}}:
            yield "text", text
        case {"type": "text" | "output_text", "content": str(text)}:
            yield "text", text
