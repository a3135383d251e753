"""A tool that runs in the page, as the samples write it: the run stops at the call and the page's answer resumes it."""

from typing import Any

from agents import Agent, RunContextWrapper, StopAtTools, function_tool
from chatkit.agents import AgentContext, ClientToolCall

Context = RunContextWrapper[AgentContext[Any]]


@function_tool
async def read_page(context: Context, section: str) -> None:
    """Read a section of the page that the user has open."""
    context.context.client_tool_call = ClientToolCall(name="read_page", arguments={"section": section})


agent = Agent[AgentContext[Any]](
    name="Reader",
    instructions="Answer from what `read_page` returns.",
    tools=[read_page],
    tool_use_behavior=StopAtTools(stop_at_tool_names=["read_page"]),
)
