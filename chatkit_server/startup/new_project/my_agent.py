"""The agent that answers. CHATKIT_AGENT in .env names it; the server reads `actions` beside it as well."""

from agents import Agent, RunContextWrapper, function_tool
from my_actions import actions, rating_form

from chatkit_server import AgentContext, shown_as

__all__ = ["actions", "agent"]

ORDERS = {"17": "shipped yesterday", "18": "waiting for its payment"}


@shown_as("Looking up order {number}", icon="search")
@function_tool
def order_status(number: str) -> str:
    """Return the state of an order, by its number."""
    return ORDERS.get(number, "There is no such order.")


@function_tool
async def ask_for_rating(context: RunContextWrapper[AgentContext]) -> str:
    """Show the user a form to rate the conversation, once they have what they need."""
    await context.context.stream_widget(rating_form())
    return "The user sees the form."


agent = Agent[AgentContext](
    name="Support",
    instructions="Help with orders. Look them up instead of guessing.",
    tools=[order_status, ask_for_rating],
)
