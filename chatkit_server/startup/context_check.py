"""Whether the context that an agent's code expects is the one that it gets.

The Agents SDK checks neither: a tool that reads `ctx.context.plan` of another object fails at its first call.
"""

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union

from agents import Agent, FunctionTool, RunContextWrapper

from ..agent_context import AgentContext
from ..agents.context_function import returned_by
from ..agents.loading import AgentSource
from ..agents.reachable import all_agents
from ..run.server import ChatServer

ADVICE = (
    "A function `context` in the module of CHATKIT_AGENT makes it, or `create_app(context=...)`: docs/agent-context.md."
)


@dataclass(frozen=True)
class GivenContext:
    """What an agent gets as the context of its runs, as far as it is known."""

    kind: Any
    """A class, or the annotation of the function that makes it."""
    maker: str = ""
    """What makes it; empty for the `AgentContext` that the server makes by default."""
    is_exact: bool = True
    """Whether `kind` is the class of what was made, and not an annotation, which may be less exact."""
    advice: str = ""
    """What to do if it does not fit."""

    def __str__(self) -> str:
        return f"{_name(self.kind)}{f' from {self.maker}' if self.maker else ''}"


def declared_context(server: ChatServer, source: AgentSource) -> GivenContext:
    """Return what the runs of an agent get, without a call of the author's code."""
    if type(server).agent_context is not ChatServer.agent_context:
        maker = f"{type(server).__name__}.agent_context"
        return GivenContext(returned_by(server.agent_context), maker, is_exact=False)
    if source.context is not None:
        return GivenContext(source.context.returned, source.context.title, is_exact=False)
    return GivenContext(AgentContext, advice=source.context_fault or ADVICE)


def misfits(agent: Agent[Any], given: GivenContext) -> list[str]:
    """Return a problem for each class that the code of the agent expects as its context and does not get."""
    places: dict[str, list[str]] = {}
    for place, expected in _expectations(agent):
        if not _fits(expected, given):
            places.setdefault(_name(expected), []).append(place)
    return [
        f"{_listed(of_class)} expects {name} as its context, and gets {given}. {given.advice}".rstrip()
        for name, of_class in places.items()
    ]


def _expectations(start: Agent[Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is annotated with a context, and the annotation."""
    for agent in all_agents(start):
        if (generic := getattr(agent, "__orig_class__", None)) is not None:
            yield f"the agent {agent.name}", typing.get_args(generic)[0]
        for place, function in _functions(agent):
            if (expected := _expected_by(function)) is not None:
                yield place, expected


def _functions(agent: Agent[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    if callable(agent.instructions):
        yield f"the instructions of {agent.name}", agent.instructions
    for tool in agent.tools:
        if isinstance(tool, FunctionTool):
            if (function := getattr(tool, "__wrapped__", None)) is not None:
                yield f"the tool {tool.name}", function
            if callable(tool.is_enabled):
                yield f"`is_enabled` of the tool {tool.name}", tool.is_enabled
    guardrails: list[Any] = [*agent.input_guardrails, *agent.output_guardrails]
    for guardrail in guardrails:
        yield f"the guardrail {guardrail.get_name()}", guardrail.guardrail_function


def _expected_by(function: Callable[..., Any]) -> Any:
    """Return X if the first parameter is a `RunContextWrapper[X]` or of a class derived from it, else None."""
    target = inspect.unwrap(function)
    target = target if inspect.isroutine(target) else type(target).__call__
    try:
        hints = typing.get_type_hints(target)
        annotation = hints.get(next(name for name in inspect.signature(function).parameters if name != "self"))
    except Exception:  # no parameters, or names that exist for type checkers only
        return None
    origin = typing.get_origin(annotation)
    is_wrapper = inspect.isclass(origin) and issubclass(origin, RunContextWrapper)
    return typing.get_args(annotation)[0] if is_wrapper else None


def _fits(expected: Any, given: GivenContext) -> bool:
    wanted, got = _classes(expected), _classes(given.kind)
    if wanted is None or got is None:
        return True
    return all(
        any(issubclass(kind, other) or (not given.is_exact and issubclass(other, kind)) for other in wanted)
        for kind in got
    )


def _classes(annotation: Any) -> list[type] | None:
    """Return the classes that an annotation allows; None if it says nothing that can be checked."""
    origin = typing.get_origin(annotation)
    if origin in {Union, UnionType}:
        parts = [_classes(part) for part in typing.get_args(annotation) if part is not NoneType]
        return None if None in parts else [kind for part in parts if part is not None for kind in part]
    if origin is typing.Annotated:
        return _classes(typing.get_args(annotation)[0])
    kind = annotation if origin is None else origin
    if typing.is_typeddict(kind):
        return [dict]
    if not inspect.isclass(kind) or kind is Any or getattr(kind, "_is_protocol", False):
        return None
    generic = getattr(kind, "__pydantic_generic_metadata__", {}).get("origin")
    return [generic or kind]


def _name(annotation: Any) -> str:
    return annotation.__name__ if inspect.isclass(annotation) else str(annotation).replace("typing.", "")


def _listed(places: list[str]) -> str:
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return f"{places[0][:1].upper()}{places[0][1:]}{more}"
