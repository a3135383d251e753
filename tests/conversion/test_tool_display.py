"""The line of a tool call: its title, icon and arguments."""

import pytest
from agents import Agent, function_tool

from chatkit_server.conversion.tool_display import MAX_TITLE, ToolDisplay, ToolDisplays, shown_as


@shown_as("Looking up {number}", icon="search")
@function_tool
def order_status(number: str) -> str:
    """The state of an order."""
    return ""


AGENT = Agent[None](name="test", tools=[order_status])


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ('{"number": "17"}', "Looking up 17"),
        ('{"number": "' + "1" * 500 + '"}', ("Looking up " + "1" * 500)[:MAX_TITLE]),
        ("{}", "Order status"),
        ("", "Order status"),
        ("[1]", "Order status"),
        ('{"number": ', "Order status"),
    ],
)
def test_a_title_is_filled_with_the_arguments_or_falls_back_to_the_name(arguments: str, title: str) -> None:
    task = ToolDisplays({}).task(AGENT, "order_status", arguments)
    assert task is not None
    assert (task.title, task.icon, task.status_indicator) == (title, "search", "loading")


def test_an_undecorated_tool_is_shown_by_its_title_or_name() -> None:
    titles = [ToolDisplays({}).task(AGENT, "find-a_thing", "{}", title) for title in (None, "Find {it}")]
    assert [task and task.title for task in titles] == ["Find a thing", "Find {it}"]


def test_a_display_by_name_takes_precedence_over_the_decorator() -> None:
    assert ToolDisplays({"order_status": ToolDisplay(None)}).task(AGENT, "order_status", "{}") is None
