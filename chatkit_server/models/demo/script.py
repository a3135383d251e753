"""What the demo model says and does: a pure function of the last user message, the tool results and the tools."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .conversation import Conversation
from .texts import ECHO, ERROR_START, LONG, MARKDOWN, NO_TOOL, REASONING, THOUGHT


@dataclass(frozen=True, slots=True)
class Think:
    """A reasoning summary."""

    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """A message."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function tool."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Fail:
    """An error as a provider would answer it; 0 is one without a status, in the middle of a stream."""

    status: int


Step = Think | Say | Call | Fail


def make_script(conversation: Conversation, tools: Iterable[str]) -> list[Step]:
    """The steps of one answer. The same input gives the same steps."""
    if conversation.results:
        return [Say(_report(conversation))]
    names = frozenset(tools)
    if call := _wanted_call(conversation.text):
        if call.name in names:
            return [call]
        return [Say(NO_TOOL.format(name=call.name, names=_listed(names)))]
    words = frozenset(re.findall(r"\w+", conversation.text.lower()))
    if "error" in words:
        return _failure(conversation.text)
    if words & {"markdown", "table"}:
        return [Say(MARKDOWN)]
    if words & {"reason", "reasoning", "think"}:
        return [Think(REASONING), Say(THOUGHT)]
    if "long" in words:
        return [Say(LONG)]
    return [Say(_echo(conversation, names))]


def _wanted_call(text: str) -> Call | None:
    """The tool call that the text asks for: by name with JSON, or in words for the default agent's tools."""
    if match := re.search(r"\bcall\s+`?(\w+)`?\s*(\{.*\})?", text, re.IGNORECASE | re.DOTALL):
        return Call(match[1], match[2] or "{}")
    if match := re.search(r"\bcalculate\s+([^?]+)", text, re.IGNORECASE):
        return _call("calculate", expression=match[1].strip(" .!"))
    if match := re.search(r"\bconvert\s+(-?[\d.]+)\s*(\S+)\s+(?:to|in|into)\s+(\w+)", text, re.IGNORECASE):
        return _call("convert_units", value=float(match[1]), from_unit=match[2], to_unit=match[3])
    if re.search(r"\b(time|date|clock)\b", text, re.IGNORECASE):
        zone = re.search(r"\b[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+\b", text)
        return _call("current_time", time_zone=zone[0] if zone else "UTC")
    return None


def _call(name: str, **arguments: Any) -> Call:
    return Call(name, json.dumps(arguments, ensure_ascii=False))


def _failure(text: str) -> list[Step]:
    status = re.search(r"\b(400|401|403|404|429|500|503)\b", text)
    return [Fail(int(status[0]))] if status else [Say(ERROR_START), Fail(0)]


def _report(conversation: Conversation) -> str:
    lines = [f"The tool `{result.name}` answered: {result.output}" for result in conversation.results]
    return "\n\n".join([*lines, "I am the demo model: I ran the tool because a word in your message asked for it."])


def _echo(conversation: Conversation, names: frozenset[str]) -> str:
    said = conversation.text or "nothing"
    quoted = said if len(said) <= 300 else said[:300] + "…"
    count = conversation.files
    attached = f"\nWith it came {'a file' if count == 1 else f'{count} files'}, which I cannot read.\n" if count else ""
    return ECHO.format(text=quoted.replace("\n", "\n> "), attached=attached, tools=_listed(names))


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"
