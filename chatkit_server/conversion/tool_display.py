"""Set how a tool call is shown: a line above the answer, with a title and an icon.

    @shown_as("Looking up order {number}", icon="search")
    @function_tool
    def order_status(number: str) -> str: ...

By default the line has the tool's name. `shown_as(None)` hides the tool.
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
"""Characters. A model may put a whole letter into an argument."""


@dataclass(frozen=True, slots=True)
class ToolDisplay:
    """`title` may contain arguments of the call in braces; None hides the tool."""

    title: str | None
    icon: IconName = DEFAULT_ICON


def shown_as(title: str | None, *, icon: IconName = DEFAULT_ICON) -> Callable[[Tool], Tool]:
    """Return a decorator for any tool of the Agents SDK. Put it above `@function_tool`."""

    def show(tool: Tool) -> Tool:
        setattr(tool, ATTRIBUTE, ToolDisplay(title, icon))
        return tool

    return show


@dataclass(frozen=True, slots=True)
class ToolDisplays:
    """How the tools of a run are shown.

    `by_name` is for tools that cannot be decorated, such as those of MCP servers. It takes precedence over a decorator.
    """

    by_name: Mapping[str, ToolDisplay]

    def task(self, agent: Agent[Any], name: str, arguments: str, title: str | None = None) -> CustomTask | None:
        """Return the line of a running call, or None if the tool is hidden. `title` is an MCP server's title for it."""
        display = self.by_name.get(name) or _decorated(agent, name) or ToolDisplay(_braced(title or humanized(name)))
        if display.title is None:
            return None
        line = _filled(display.title, arguments) or humanized(name)
        return CustomTask(title=line[:MAX_TITLE], icon=display.icon, status_indicator="loading")


def humanized(name: str) -> str:
    """Return a tool's name as words: `order_status` → Order status."""
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]


def _decorated(agent: Agent[Any], name: str) -> ToolDisplay | None:
    tool = next((tool for tool in agent.tools if tool.name == name), None)
    display: ToolDisplay | None = getattr(tool, ATTRIBUTE, None)
    return display


def _braced(title: str) -> str:
    return title.replace("{", "{{").replace("}", "}}")


def _filled(title: str, arguments: str) -> str | None:
    """Return the title with the call's arguments, or None if one of them is missing."""
    try:
        values = json.loads(arguments or "{}")
        return title.format_map(values if isinstance(values, dict) else {})
    except (ValueError, LookupError, AttributeError):
        return None
