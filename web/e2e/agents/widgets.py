"""An agent that shows any widget: `call show_widget {"widget": "…"}` to the demo model, with the widget as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, RunContextWrapper, function_tool
from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot

from chatkit_server import Actions, AgentContext
from chatkit_server.errors.http import InvalidParams

Context = RunContextWrapper[AgentContext]


@function_tool
async def show_widget(context: Context, widget: str) -> str:
    """Show a widget."""
    root = DynamicWidgetRoot.model_construct(**json.loads(widget))
    await context.context.stream_widget(root, copy_text="A widget")
    return "The user sees it."


@function_tool
async def show_many(context: Context, count: int, depth: int) -> str:
    """Show a card with that many texts, and one that lies so deep in boxes."""
    deep: dict[str, Any] = {"type": "Text", "value": "The deepest text"}
    for _ in range(depth):
        deep = {"type": "Box", "children": [deep]}
    texts = [{"type": "Text", "value": f"Text {number}"} for number in range(1, count + 1)]
    await context.context.stream_widget(DynamicWidgetRoot.model_construct(type="Card", children=[deep, *texts]))
    return "The user sees it."


@function_tool
async def write_beside_form(context: Context, gate: int) -> str:
    """Write a text above a form; it continues when the gate opens."""

    def state(text: str, *, done: bool) -> DynamicWidgetRoot:
        report = {"type": "Text", "id": "report", "value": text, "streaming": not done}
        field = {"type": "Input", "name": "note", "placeholder": "A note"}
        badge = [{"type": "Badge", "label": "Complete"}] if done else []
        return DynamicWidgetRoot.model_validate({"type": "Card", "children": [*badge, report, field]})

    async def states() -> AsyncIterator[DynamicWidgetRoot]:
        yield state("One", done=False)
        reader, writer = await asyncio.open_connection("127.0.0.1", gate)
        await reader.read()
        writer.close()
        yield state("One two", done=False)
        yield state("One two three", done=True)

    await context.context.stream_widget(states())
    return "It is written."


actions = Actions()


@actions.on("echo")
async def echo(payload: dict[str, Any], sender: WidgetItem) -> WidgetItem:
    """Show the payload below the widget that sent it."""
    widget = sender.widget.model_dump(mode="json", exclude_none=True)
    children = [child for child in widget["children"] if child.get("id") != "echo"]
    children.append({"type": "Text", "id": "echo", "value": f"Got {json.dumps(payload, sort_keys=True)}"})
    return sender.model_copy(update={"widget": DynamicWidgetRoot.model_validate({**widget, "children": children})})


@actions.on("wait")
async def wait(payload: dict[str, Any]) -> None:
    """Answer when the gate opens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", payload["gate"])
    await reader.read()
    writer.close()


@actions.on("refuse")
async def refuse() -> None:
    """Refuse what the user has sent."""
    raise InvalidParams("This name is taken.")


agent = Agent[AgentContext](
    name="Widgets", instructions="Show widgets.", tools=[show_widget, show_many, write_beside_form]
)
