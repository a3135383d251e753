"""What models received, in short."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.openai_server import OpenAIServer

Line = tuple[str, str]


def inputs(upstream: OpenAIServer, start: int = 0) -> list[list[Line]]:
    """Return role and text of the input items of each request; other items by type."""
    return [[_line(item) for item in request.body["input"]] for request in upstream.requests[start:]]


def models(upstream: OpenAIServer) -> list[str]:
    """Return the model of each request."""
    return [request.body["model"] for request in upstream.requests]


def _line(item: Mapping[str, Any]) -> Line:
    if item.get("role") is None:
        return item["type"], str(item.get("output") or item.get("name") or "")
    return item["role"], _text(item["content"])


def _text(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else " | ".join(part.get("text", part["type"]) for part in content)
