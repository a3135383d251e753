"""How a tool call looks while it runs: a line in the block above the answer, with a title and an icon of the author's.

    @shown_as("Looking up order {number}", icon="search")
    @function_tool
    def order_status(number: str) -> str: ...

Without it the line has the tool's name. `shown_as(None)` shows nothing of a tool.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from agents import Agent
from chatkit.icons import IconName
from chatkit.types import CustomTask

Tool = TypeVar("Tool")

ATTRIBUTE = "_chatkit_display"
DEFAULT_ICON: IconName = "bolt"
MAX_TITLE = 120
"""Characters; a model may put a whole letter into an argument."""


@dataclass(frozen=True, slots=True)
class ToolDisplay:
    """`title` may name arguments of the call in braces; None hides the tool."""

    title: str | None
    icon: IconName = DEFAULT_ICON


def shown_as(title: str | None, *, icon: IconName = DEFAULT_ICON) -> Callable[[Tool], Tool]:
    """A decorator for any tool of the Agents SDK, to stand above `@function_tool`."""

    def show(tool: Tool) -> Tool:
        setattr(tool, ATTRIBUTE, ToolDisplay(title, icon))
        return tool

    return show


@dataclass(frozen=True, slots=True)
class ToolDisplays:
    """How the tools of a run are shown; `by_name` is for tools that cannot be decorated, such as those of MCP servers,
    and stands above a decorator."""

    by_name: Mapping[str, ToolDisplay]

    def task(self, agent: Agent[Any], name: str, arguments: str, title: str | None = None) -> CustomTask | None:
        """The line of a call that has begun, None for a hidden tool. `title` is what an MCP server calls it."""
        display = self.by_name.get(name) or _decorated(agent, name) or ToolDisplay(_braced(title or humanized(name)))
        if display.title is None:
            return None
        words = _filled(display.title, arguments) or humanized(name)
        return CustomTask(title=words[:MAX_TITLE], icon=display.icon, status_indicator="loading")


def humanized(name: str) -> str:
    """`order_status` → Order status."""
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]


def _decorated(agent: Agent[Any], name: str) -> ToolDisplay | None:
    tool = next((tool for tool in agent.tools if tool.name == name), None)
    display: ToolDisplay | None = getattr(tool, ATTRIBUTE, None)
    return display


def _braced(title: str) -> str:
    return title.replace("{", "{{").replace("}", "}}")


def _filled(title: str, arguments: str) -> str | None:
    """The title with the call's arguments; None where one that it names is missing."""
    try:
        values = json.loads(arguments or "{}")
        return title.format_map(values if isinstance(values, dict) else {})
    except (ValueError, LookupError, AttributeError):
        return None
