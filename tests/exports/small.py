"""Small workflows for tests: their input, and agents without much to them."""

from typing import Any

from agents import Agent, Runner
from pydantic import BaseModel

from tests.support.chatkit import Picture


class WorkflowInput(BaseModel):
    input_as_text: str


class Topic(BaseModel):
    topic: str


def finder() -> Agent[Any]:
    """An agent whose answer only the workflow reads."""
    return Agent(name="Topic finder", output_type=Topic)


def helper(name: str = "Helper", **options: Any) -> Agent[Any]:
    """An agent that answers in text."""
    return Agent(name=name, **options)


async def two_runs(workflow_input: WorkflowInput) -> Any:
    """A step, then an answer."""
    topic = await Runner.run(finder(), workflow_input.input_as_text)
    answer = await Runner.run(helper(), [{"role": "user", "content": workflow_input.input_as_text}])
    return {"output_text": answer.final_output_as(str), "topic": topic.final_output.topic}


def tasks_of(picture: Picture) -> list[tuple[str, str]]:
    """Return title and state of all tasks that the thread shows."""
    return [
        (task["title"], task["status_indicator"])
        for block in picture.of_type("workflow")
        for task in block["workflow"]["tasks"]
    ]
