"""An agent with a tool for each thing that a chat can show. The demo model calls them: `call NAME {"argument": …}`.

Tools with a `gate`, a port of the test (e2e/gate.js), wait in the middle until the test opens it.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from agents import Agent, RunContextWrapper, function_tool
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientEffectEvent,
    CustomSummary,
    CustomTask,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    WidgetItem,
    Workflow,
)
from chatkit.widgets import DynamicWidgetRoot
from held import HeldModel, opened
from pydantic import BaseModel

from chatkit_server import Actions, AgentContext, ask_user, client_tool, shown_as

Context = RunContextWrapper[AgentContext]
ITEM_TEXT = "All work and no play makes Jack a dull boy. " * 90
"""Long enough that 300 items need more than one page."""


def card(*children: dict[str, Any]) -> DynamicWidgetRoot:
    """Return a card with these components."""
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": list(children)})


class Order(BaseModel):
    """What the form submits."""

    name: str
    size: str
    gift: bool = False


@function_tool
async def show_form(context: Context) -> str:
    """Let the user order a shirt in a form."""
    form = {
        "type": "Form",
        "direction": "col",
        "onSubmitAction": {"type": "shirt.order"},
        "children": [
            {"type": "Label", "value": "Your name", "fieldName": "name"},
            {"type": "Input", "name": "name", "placeholder": "Your name", "required": True},
            {
                "type": "RadioGroup",
                "name": "size",
                "defaultValue": "s",
                "options": [{"value": "s", "label": "Small"}, {"value": "l", "label": "Large"}],
            },
            {"type": "Checkbox", "name": "gift", "label": "Wrap it"},
            {"type": "Button", "label": "Order", "submit": True},
        ],
    }
    await context.context.stream_widget(card(form), copy_text="A form for a shirt")
    return "The user sees the form."


actions = Actions()


@actions.on("shirt.order")
async def order_shirt(payload: Order, sender: WidgetItem) -> DynamicWidgetRoot:
    """Replace the form by what was ordered."""
    text = f"Ordered: {payload.size} for {payload.name}{', as a gift' if payload.gift else ''}"
    return card({"type": "Text", "value": text})


@function_tool
async def write_live(context: Context, gate: int) -> str:
    """Write a report into a card; the last sentence follows when the gate opens."""

    async def states() -> AsyncIterator[DynamicWidgetRoot]:
        def report(text: str, *, streaming: bool) -> DynamicWidgetRoot:
            title = {"type": "Title", "id": "title", "value": "Report"}
            return card(title, {"type": "Text", "id": "body", "value": text, "streaming": streaming})

        yield report("It is calm.", streaming=True)
        yield report("It is calm. The clouds", streaming=True)
        await opened(gate)
        yield report("It is calm. The clouds come late.", streaming=True)
        yield report("It is calm. The clouds come late.", streaming=False)

    await context.context.stream_widget(states())
    return "The report is written."


@shown_as(None)
@function_tool
async def look_up(context: Context, gate: int) -> str:
    """Show a progress line until the gate opens, then a list of steps."""
    chat = context.context
    await chat.stream(ProgressUpdateEvent(icon="search", text="Looking on the shelves"))
    await opened(gate)
    await chat.start_workflow(Workflow(type="custom", tasks=[]))
    await chat.add_workflow_task(CustomTask(title="Read the shelf History", status_indicator="complete"))
    await chat.end_workflow(summary=CustomSummary(title="Read one shelf"))
    return "One book was found."


@shown_as(None)
@function_tool
async def write_many(context: Context, count: int) -> str:
    """Write that many messages."""
    chat = context.context
    for number in range(1, count + 1):
        text = f"Message {number}. {ITEM_TEXT}"
        item = AssistantMessageItem(
            id=chat.generate_id("message"),
            thread_id=chat.thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text=text)],
        )
        await chat.stream(ThreadItemDoneEvent(item=item))
    return "They are written."


@client_tool
async def read_page(section: str):
    """Read a section of the page that the user has open."""


@function_tool
async def switch_theme(context: Context, theme: str) -> str:
    """Switch the page to a light or to a dark theme."""
    await context.context.stream(ClientEffectEvent(name="switch_theme", data={"theme": theme}))
    return f"The page is {theme} now."


@function_tool(needs_approval=True)
async def delete_order(number: int) -> str:
    """Delete an order for good."""
    return f"Order {number} is deleted."


agent = Agent[AgentContext](
    name="Showcase",
    model=HeldModel(),
    instructions="Show what a chat can show.",
    tools=[show_form, write_live, look_up, write_many, read_page, switch_theme, delete_order, ask_user],
)
