"""Decide what the demo model answers: a pure function of the last user message, the tool results and the tools."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .conversation import Conversation
from .texts import ECHO, ERROR_START, LONG, MARKDOWN, NO_TOOL, REASONING, THOUGHT


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A reasoning summary."""

    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """An assistant message."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider's error status, or 0 for an error in the middle of the stream."""

    status: int


CALL = re.compile(r"\bcall\s+`?(\w+)`?\s*", re.IGNORECASE)
JSON = json.JSONDecoder()
NO_ROUTES: Mapping[str, str] = MappingProxyType({})

Step = Reasoning | Message | ToolCall | Failure


def make_script(conversation: Conversation, tools: Iterable[str], routes: Mapping[str, str] = NO_ROUTES) -> list[Step]:
    """Return the steps of one answer. The same input gives the same steps.

    `tools` are the names of the agent's tools and handoffs; `routes` says which handoff leads to a tool of another.
    """
    names = frozenset(tools)
    if call := _next_call(conversation, names | routes.keys()):
        if call.name in names:
            return [call]
        if call.name in routes:
            return [ToolCall(routes[call.name], "{}")]
        return [Message(NO_TOOL.format(name=call.name, names=_tool_list(names | routes.keys())))]
    if conversation.results:
        return [Message(_report(conversation))]
    words = frozenset(re.findall(r"\w+", conversation.text.lower()))
    if "error" in words:
        return _failure(conversation.text)
    if words & {"markdown", "table"}:
        return [Message(MARKDOWN)]
    if words & {"reason", "reasoning", "think"}:
        return [Reasoning(REASONING), Message(THOUGHT)]
    if "long" in words:
        return [Message(LONG)]
    return [Message(_echo(conversation, names | routes.keys()))]


def _next_call(conversation: Conversation, names: Set[str]) -> ToolCall | None:
    """Return the first call that the text asks for and that has not been made; None after a call of a tool that the
    agent no longer has, or had only for a while."""
    finished = Counter(result.name for result in conversation.results)
    for call in _requested_calls(conversation.text):
        if finished[call.name]:
            finished[call.name] -= 1
        elif not conversation.results or call.name in names:
            return call
    return None


def _requested_calls(text: str) -> list[ToolCall]:
    """Return the calls that the text asks for: by name with JSON arguments, or in words for the default agent's."""
    calls: list[ToolCall] = []
    position = 0
    while match := CALL.search(text, position):
        arguments, position = _arguments(text, match.end())
        calls.append(ToolCall(match[1], arguments))
    return calls or [call for call in [_call_in_words(text)] if call is not None]


def _arguments(text: str, start: int) -> tuple[str, int]:
    """Return the JSON object that begins here, and where it ends; what looks like one is passed on as it is."""
    if not text.startswith("{", start):
        return "{}", start
    try:
        _, end = JSON.raw_decode(text, start)
    except ValueError:
        end = text.rfind("}") + 1 or len(text)
        return (text[start:end], end) if end > start else ("{}", len(text))
    return text[start:end], end


def _call_in_words(text: str) -> ToolCall | None:
    if re.search(r"\bpreferences\b", text, re.IGNORECASE):
        return _call("ask_preferences")
    if re.search(r"\b(time|date|clock)\b", text, re.IGNORECASE):
        zone = re.search(r"\b[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+\b", text)
        return _call("current_time", time_zone=zone[0] if zone else "UTC")
    return None


def _call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name, json.dumps(arguments, ensure_ascii=False))


def _failure(text: str) -> list[Step]:
    status = re.search(r"\b(400|401|403|404|429|500|503)\b", text)
    return [Failure(int(status[0]))] if status else [Message(ERROR_START), Failure(0)]


def _report(conversation: Conversation) -> str:
    lines = [f"The tool `{result.name}` answered: {result.output}" for result in conversation.results]
    return "\n\n".join([*lines, "I am the demo model: I called the tool because of a word in your message."])


def _echo(conversation: Conversation, names: Set[str]) -> str:
    text = conversation.text or "nothing"
    quoted = text if len(text) <= 300 else text[:300] + "…"
    count = conversation.files
    attached = f"\nYou attached {'a file' if count == 1 else f'{count} files'}, which I cannot read.\n" if count else ""
    return ECHO.format(text=quoted.replace("\n", "\n> "), attached=attached, tools=_tool_list(names))


def _tool_list(names: Set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"
