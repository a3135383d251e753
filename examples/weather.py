"""Tools that show a widget: at once from a `.widget` file, or live, while its text grows."""

from collections.abc import AsyncGenerator
from typing import Any

from agents import Agent, RunContextWrapper, function_tool
from chatkit.agents import AgentContext
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot, WidgetTemplate

Context = RunContextWrapper[AgentContext[Any]]

FORECASTS = {"oslo": ("Oslo", 4, "Snow later"), "lisbon": ("Lisbon", 17, "Sunny")}
CARD = WidgetTemplate.from_file("weather.widget")


@function_tool
async def show_weather(context: Context, city: str) -> str:
    """Show the weather in a city as a card."""
    if (forecast := FORECASTS.get(city.lower())) is None:
        return f"There is no forecast for {city}."
    name, degrees, sky = forecast
    card = CARD.build({"city": name, "degrees": degrees, "sky": sky})
    await context.context.stream_widget(card, copy_text=f"{name}: {degrees} °C, {sky}")
    return f"The card shows {degrees} °C and: {sky}."


@function_tool
async def write_report(context: Context, city: str) -> str:
    """Write a weather report into a card, sentence by sentence."""

    async def states() -> AsyncGenerator[WidgetRoot, None]:
        text = ""
        for sentence in ("It is calm. ", "The clouds come late. ", "Take a coat."):
            text += sentence
            yield report(city, text, is_done=False)
        yield report(city, text, is_done=True)

    await context.context.stream_widget(states())
    return "The report is written."


def report(city: str, text: str, *, is_done: bool) -> WidgetRoot:
    """Return the current state of the card. Its ids do not change, so that only the new text is sent."""
    title = {"type": "Title", "id": "title", "value": f"Weather in {city}"}
    body = {"type": "Markdown", "id": "body", "value": text, "streaming": not is_done}
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": [title, body]})


agent = Agent[AgentContext[Any]](
    name="Weather",
    instructions="Answer questions about the weather with `show_weather`; write reports with `write_report`.",
    tools=[show_weather, write_report],
)
