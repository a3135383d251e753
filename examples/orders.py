"""Hidden context: a note that the model reads in later turns and the user does not see."""

from datetime import UTC, datetime
from typing import Any

from agents import Agent, RunContextWrapper, function_tool
from chatkit.agents import AgentContext
from chatkit.types import HiddenContextItem, ThreadItemDoneEvent

Context = RunContextWrapper[AgentContext[Any]]


@function_tool
async def open_order(context: Context, number: int) -> str:
    """Open an order before you answer questions about it."""
    chat = context.context
    note = HiddenContextItem(
        id=chat.generate_id("message"),
        thread_id=chat.thread.id,
        created_at=datetime.now(UTC),
        content=f"The open order is {number}; its customer is Ada, and it may be returned until Friday.",
    )
    await chat.stream(ThreadItemDoneEvent(item=note))
    return f"Order {number} is open."


agent = Agent[AgentContext[Any]](
    name="Support",
    instructions="Help with orders. Open an order before you talk about it.",
    tools=[open_order],
)
