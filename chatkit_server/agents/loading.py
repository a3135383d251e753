"""CHATKIT_AGENT: from an import path to an agent for each request. Mistakes in it are reported at startup."""

import importlib
import inspect
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from agents import Agent

from ..context import RequestContext
from ..errors.author_code import as_exception, import_failure
from ..errors.setup import AgentSetupError, SetupError
from ..interactions.actions import Actions
from ..settings.working_directory import see_working_directory
from .context_function import ContextFunction
from .default import default_actions, default_agent
from .exported_workflow import ExportedWorkflow, find_exported_workflow

logger = logging.getLogger(__name__)

WORKFLOW = "run_workflow"
"""The name of the function in Agent Builder's exports."""

AnyAgent = Agent[Any]
AgentLike = AnyAgent | Callable[..., AnyAgent | Awaitable[Any]]
"""An agent, or a function that returns one, sync or async; it gets the `RequestContext` if it takes an argument. Or the
`run_workflow` of a workflow that Agent Builder exported."""


@dataclass(frozen=True, slots=True)
class AgentSource:
    """Where the agent of a request comes from."""

    name: str
    make: Callable[[RequestContext], Any]
    """Returns the agent for a request."""
    is_default: bool = False
    is_function: bool = False
    """Whether `make` calls a function of the user for each request."""
    agent_name: str | None = None
    """The agent's own name; None if `is_function`."""
    actions: Actions = field(default_factory=Actions)
    """The object named `actions` in the agent's module: handlers for the actions of the agent's widgets."""
    workflow: ExportedWorkflow | None = None
    """The exported workflow that answers in place of a single agent."""
    output_text: Callable[[Any], str | None] | None = None
    """The function named `output_text` in the agent's module: what a user reads of an output other than text."""

    context: ContextFunction | None = None
    """The function named `context` in the agent's module, or that of `create_app`: makes the context of its runs."""
    context_fault: str | None = None
    """Why the `context` in the agent's module makes none."""

    async def load(self, context: RequestContext) -> AnyAgent:
        """Return the agent for one request. Raises `AgentSetupError` if the user's function returned something else."""
        try:
            agent: object = self.make(context)
            if inspect.isawaitable(agent):
                agent = await agent
        except SystemExit as error:  # at startup, no task contains it yet
            raise as_exception(error) from error
        if not isinstance(agent, Agent):
            raise AgentSetupError(f"{self.name} returned {_type_name(agent)}, not an agents.Agent.{_hint(agent)}")
        return agent


def load_agent(agent: AgentLike | str | None, *, tools: bool = True) -> AgentSource:
    """Return the source for `package.module:name`, for an agent or function, or, for None, for the default agent.

    `tools=False` omits the default agent's tools. Raises `AgentSetupError` with one sentence that explains the mistake.
    """
    if agent is None:
        default = default_agent(tools)
        return AgentSource(
            "The default agent",
            lambda context: default,
            is_default=True,
            agent_name=default.name,
            actions=default_actions(),
        )
    if not isinstance(agent, str):
        return _source(agent, f"The agent {getattr(agent, '__name__', None) or type(agent).__name__}")
    module_name, name = _split(agent)
    module = _module(module_name, agent)
    source = _source(_attribute(module, name, agent), f"CHATKIT_AGENT={agent}")
    output_text = getattr(module, "output_text", None)
    context, fault = _context(module)
    if fault is not None:  # it may be meant for something else
        logger.warning("CHATKIT_AGENT=%s: %s", agent, fault)
    return replace(
        source,
        actions=_actions(module, agent),
        output_text=output_text if inspect.isfunction(output_text) else None,
        context=context,
        context_fault=fault,
    )


def _split(spec: str) -> tuple[str, str]:
    module, colon, name = spec.strip().partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise AgentSetupError(
            f"CHATKIT_AGENT={spec} must look like package.module:name, for example my_agents:support, or "
            "my_export:run_workflow for a workflow of Agent Builder."
        )
    return module, name


def _module(name: str, spec: str) -> ModuleType:
    directory = see_working_directory()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's module may raise anything; report it
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise AgentSetupError(
                f"CHATKIT_AGENT={spec}: there is no module {error.name!r} in {directory} or among the installed "
                "packages."
            ) from None
        reason = import_failure(error)
        advice = _advice_for_export(Path(directory, *name.split(".")).with_suffix(".py"))
        raise AgentSetupError(f"CHATKIT_AGENT={spec}: importing {name!r} failed with {reason}.{advice}") from error


def _advice_for_export(path: Path) -> str:
    """Return what helps with a file of Agent Builder, which exports mistakes as well; nothing for any other."""
    try:
        is_export = b"agent-builder" in path.read_bytes()
    except OSError:
        return ""
    return f" `chatkit-server migrate-workflow {os.path.relpath(path)}` says what to change." if is_export else ""


def _attribute(module: ModuleType, name: str, spec: str) -> object:
    if hasattr(module, name):
        return getattr(module, name)
    candidates = [key for key, value in vars(module).items() if isinstance(value, Agent) or inspect.isfunction(value)]
    agents = [key for key, value in vars(module).items() if isinstance(value, Agent)]
    workflows = [key for key, value in vars(module).items() if inspect.iscoroutinefunction(value) and key == WORKFLOW]
    similar = get_close_matches(name, candidates, n=3) or workflows or agents
    suggestion = f"; did you mean {' or '.join(similar)}?" if similar else "."
    raise AgentSetupError(f"CHATKIT_AGENT={spec}: module {module.__name__!r} has no {name!r}{suggestion}")


def _actions(module: ModuleType, spec: str) -> Actions:
    """Return the module's `actions`; an empty one if that is missing or another kind of object, which is logged."""
    actions = getattr(module, "actions", None)
    if actions is None or inspect.ismodule(actions):
        return Actions()
    if not isinstance(actions, Actions):
        logger.warning(
            "CHATKIT_AGENT=%s: `actions` in module %r is %s, not a chatkit_server.Actions; it is ignored.",
            spec,
            module.__name__,
            _type_name(actions),
        )
        return Actions()
    return actions


def _context(module: ModuleType) -> tuple[ContextFunction | None, str | None]:
    """Return the module's function `context`, or why what has that name makes no context; two None without any."""
    function, title = getattr(module, "context", None), f"`context` in module {module.__name__!r}"
    if function is None or inspect.ismodule(function):
        return None, None
    if not inspect.isfunction(function):
        return None, f"{title} is {_type_name(function)}, not a function; it is ignored."
    try:
        return ContextFunction(function, title), None
    except SetupError as error:
        return None, f"{error} It is ignored."


def _source(value: object, title: str) -> AgentSource:
    if isinstance(value, Agent):
        return AgentSource(title, lambda context: value, agent_name=value.name)
    if inspect.isclass(value) or not callable(value):
        raise AgentSetupError(f"{title} is {_type_name(value)}, not an agents.Agent or a function that returns one.")
    if (workflow := find_exported_workflow(value, title)) is not None:
        return AgentSource(title, lambda context: workflow, is_function=True, workflow=workflow)
    make = cast(Callable[..., Any], value)
    with_context = make if _takes_context(make, title) else lambda context: make()
    return AgentSource(title, with_context, is_function=True)


def _takes_context(make: Callable[..., Any], title: str) -> bool:
    """Return whether the function takes an argument. Raises `AgentSetupError` if it needs more than the context."""
    parameters = inspect.signature(make).parameters.values()
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL}]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in required]
    if len(required) > 1 or keywords:
        raise AgentSetupError(
            f"{title} needs the arguments {', '.join(required)}, but an agent function gets only one, "
            "the RequestContext."
        )
    return bool(positional)


def _hint(returned: object) -> str:
    """Return advice for what a workflow of Agent Builder returns, if it is not recognised as one."""
    if isinstance(returned, dict | str | None):
        return " If it is an exported workflow, its first parameter must be called workflow_input."
    return ""


def _type_name(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
