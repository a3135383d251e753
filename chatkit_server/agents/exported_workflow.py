"""Recognise a workflow that OpenAI's Agent Builder exported: `async def run_workflow(workflow_input: WorkflowInput)`.

Its input is a pydantic class with the field `input_as_text`; what it returns is described in `exports/ending.py`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from agents import Agent
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors.setup import AgentSetupError
from .approval_placeholders import fill_placeholders
from .async_search import search_async
from .guardrail_helpers import complete_guardrail_results
from .recompiled import recompile
from .state_variables import read_variables

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


def find_exported_workflow(value: Callable[..., Any], title: str) -> ExportedWorkflow | None:
    """Return the workflow, or None if `value` is something else, such as a function that returns an agent.

    Raises `AgentSetupError` for a workflow that cannot be called like one.
    """
    inner = inspect.unwrap(value)
    parameters = [parameter for parameter in _parameters(value) if parameter.kind not in _VARIABLE]
    if not parameters or not inspect.isfunction(inner):
        return None
    input_class = _input_class(inner, parameters[0])
    if input_class is None and parameters[0].name != PARAMETER:
        return None
    if inspect.isasyncgenfunction(inner):
        raise AgentSetupError(
            f"{title} yields its answer: write `return` instead of `yield`; its agents stream anyway."
        )
    if not inspect.iscoroutinefunction(inner):
        raise AgentSetupError(f"{title} takes a {PARAMETER}, but is not a coroutine function: write `async def`.")
    if required := [parameter.name for parameter in parameters[1:] if parameter.default is parameter.empty]:
        raise AgentSetupError(
            f"{title} needs the arguments {', '.join(required)}, but a workflow gets only one, its input."
        )
    fill_placeholders(inner.__globals__)
    complete_guardrail_results(inner.__globals__)
    recompile(value, [read_variables, search_async])
    agents = tuple(entry for entry in inner.__globals__.values() if isinstance(entry, Agent))
    return ExportedWorkflow(title, value, input_class or _Input, agents)


_VARIABLE = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a callable of another language
        return []


def _input_class(function: FunctionType, parameter: inspect.Parameter) -> type[BaseModel] | None:
    annotation = parameter.annotation
    if isinstance(annotation, str):  # as with `from __future__ import annotations`
        try:
            annotation = eval(annotation, function.__globals__)
        except Exception:  # it names what only a type checker imports
            return None
    is_input = inspect.isclass(annotation) and issubclass(annotation, BaseModel) and TEXT in annotation.model_fields
    return annotation if is_input else None
