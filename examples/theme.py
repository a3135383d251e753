"""Client effects: the agent changes the page, which listens with `onEffect`."""

from typing import Any, Literal

from agents import Agent, RunContextWrapper, function_tool
from chatkit.agents import AgentContext
from chatkit.types import ClientEffectEvent

Context = RunContextWrapper[AgentContext[Any]]


@function_tool
async def switch_theme(context: Context, theme: Literal["light", "dark"]) -> str:
    """Switch the page to a light or to a dark theme."""
    await context.context.stream(ClientEffectEvent(name="switch_theme", data={"theme": theme}))
    return f"The page is {theme} now."


agent = Agent[AgentContext[Any]](
    name="Decorator", instructions="Change the page's theme when asked to.", tools=[switch_theme]
)
