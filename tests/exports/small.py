"""Small workflows for tests: their input, and agents without much to them."""

from typing import Any

from agents import Agent
from pydantic import BaseModel


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
