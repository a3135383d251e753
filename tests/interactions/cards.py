"""Widgets and agents for these tests."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, function_tool
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot

from chatkit_server import AgentContext
from tests.conftest import DATABASES
from tests.serving import Tab
from tests.support.sse import Json

both_databases = pytest.mark.parametrize("database_url", DATABASES, indirect=True)
Context = RunContextWrapper[AgentContext]


def card(*children: Json, **fields: Any) -> WidgetRoot:
    """Return a card as a `.widget` file makes it."""
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": list(children)} | fields)


def label(value: str, **fields: Any) -> Json:
    """Return a text."""
    return {"type": "Text", "id": "label", "value": value} | fields


def button(type: str, payload: Any = None) -> Json:
    """Return a button that sends an action."""
    return {"type": "Button", "label": type, "onClickAction": {"type": type, "payload": payload}}


def showing(widget: WidgetRoot, *, copy_text: str | None = None) -> Agent[Any]:
    """Return an agent with a tool `show` that shows this widget."""

    @function_tool
    async def show(context: Context) -> str:
        """Shows the card."""
        await context.context.stream_widget(widget, copy_text=copy_text)
        return "shown"

    return Agent(name="Shower", tools=[show])


def showing_live(*states: WidgetRoot) -> Agent[Any]:
    """Return an agent with a tool `show` whose widget passes through these states."""

    @function_tool
    async def show(context: Context) -> str:
        """Shows the card."""

        async def grow() -> AsyncGenerator[WidgetRoot, None]:
            for state in states:
                yield state

        await context.context.stream_widget(grow())
        return "shown"

    return Agent(name="Shower", tools=[show])


def the_widget(tab: Tab, thread_id: str) -> Json:
    """Return the only widget that the tab shows."""
    (widget,) = tab.pictures[thread_id].of_type("widget")
    return widget


def words_of(widget: Json) -> list[str]:
    """Return the texts in a widget item."""
    return [child["value"] for child in widget["widget"]["children"] if child["type"] == "Text"]
