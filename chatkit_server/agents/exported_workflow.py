"""Recognise a workflow that OpenAI's Agent Builder exported: `async def run_workflow(workflow_input: WorkflowInput)`.

Its input is a pydantic class with the field `input_as_text`; what it returns is described in `exports/ending.py`.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents import Agent
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors.setup import AgentSetupError
from .approval_placeholders import fill_placeholders
from .state_variables import reading_variables

PARAMETER = "workflow_input"
TEXT = "input_as_text"


class _Input(BaseModel):
    """The input of a workflow whose parameter has no class of its own."""

    model_config = ConfigDict(extra="allow")

    input_as_text: str


@dataclass(frozen=True, slots=True)
class ExportedWorkflow:
    """A workflow function."""

    title: str
    """How messages to the author name it."""
    function: Callable[[Any], Awaitable[Any]]
    input_class: type[BaseModel]
    agents: tuple[Agent[Any], ...]
    """The agents of its module."""

    def make_input(self, text: str, variables: Mapping[str, Any]) -> BaseModel:
        """Return the input for a user's message; other fields than the text come from the session's variables.

        Raises `AgentSetupError` if the class demands more.
        """
        fields = {name: value for name, value in variables.items() if name in self.input_class.model_fields}
        try:
            return self.input_class(**{**fields, TEXT: text})
        except ValidationError as error:
            faults = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False))
            raise AgentSetupError(
                f"{self.title}: {self.input_class.__name__} needs {faults}, which the session's state_variables do not "
                "have."
            ) from None


def find_exported_workflow(value: object, title: str) -> ExportedWorkflow | None:
    """Return the workflow, or None if `value` is something else, such as a function that returns an agent."""
    if not inspect.iscoroutinefunction(value):
        return None
    parameters = list(inspect.signature(value).parameters.values())
    if not parameters or any(parameter.default is parameter.empty for parameter in parameters[1:]):
        return None
    input_class = _input_class(value, parameters[0].name)
    if input_class is None and parameters[0].name != PARAMETER:
        return None
    fill_placeholders(value.__globals__)
    agents = tuple(entry for entry in value.__globals__.values() if isinstance(entry, Agent))
    return ExportedWorkflow(title, reading_variables(value), input_class or _Input, agents)


def _input_class(function: Callable[..., Any], parameter: str) -> type[BaseModel] | None:
    try:
        annotation = typing.get_type_hints(function).get(parameter)
    except Exception:  # an annotation that names what only a type checker imports
        return None
    is_input = inspect.isclass(annotation) and issubclass(annotation, BaseModel) and TEXT in annotation.model_fields
    return annotation if is_input else None
