"""Progress while a tool works: a temporary line, and a list of steps that stays."""

from typing import Any

from agents import Agent, RunContextWrapper, function_tool
from chatkit.agents import AgentContext
from chatkit.types import CustomSummary, CustomTask, ProgressUpdateEvent, Workflow

Context = RunContextWrapper[AgentContext[Any]]


@function_tool
async def read_library(context: Context, subject: str) -> str:
    """Look up a subject in the library."""
    chat = context.context
    await chat.stream(ProgressUpdateEvent(icon="search", text=f"Looking for {subject}"))
    await chat.start_workflow(Workflow(type="custom", tasks=[]))
    for number, shelf in enumerate(("History", "Science")):
        step = CustomTask(title=f"Read the shelf {shelf}", icon="book-open", status_indicator="loading")
        await chat.add_workflow_task(step)
        done = step.model_copy(update={"status_indicator": "complete", "content": f"One book on {subject}"})
        await chat.update_workflow_task(done, number)
    await chat.end_workflow(summary=CustomSummary(title="Read two shelves", icon="book-open"))
    return f"There are two books on {subject}."


agent = Agent[AgentContext[Any]](
    name="Librarian", instructions="Look everything up with `read_library` before you answer.", tools=[read_library]
)
