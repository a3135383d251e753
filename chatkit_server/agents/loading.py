"""CHATKIT_AGENT: from an import path to an agent for each request. Everything that can be wrong shows at start."""

import importlib
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import ModuleType
from typing import Any, cast

from agents import Agent

from ..context import RequestContext
from ..errors.setup import AgentSetupError
from ..interactions.actions import Actions
from .default import default_actions, default_agent

logger = logging.getLogger(__name__)

AnyAgent = Agent[Any]
AgentLike = AnyAgent | Callable[..., AnyAgent | Awaitable[AnyAgent]]
"""An agent, or a function that returns one (or a coroutine), given the `RequestContext` if it takes an argument."""


@dataclass(frozen=True, slots=True)
class AgentSource:
    """Where the agent of a request comes from."""

    name: str
    make: Callable[[RequestContext], AnyAgent | Awaitable[AnyAgent]]
    is_default: bool = False
    is_function: bool = False
    """Whether a function of the user's makes it, anew for each request."""
    actions: Actions = field(default_factory=Actions)
    """Answers to the actions of the agent's widgets: those named `actions` in the module of the agent."""

    async def load(self, context: RequestContext) -> AnyAgent:
        """The agent for one request. Raises `AgentSetupError` where the user's function returned something else."""
        made: object = self.make(context)
        if inspect.isawaitable(made):
            made = await made
        if not isinstance(made, Agent):
            raise AgentSetupError(f"{self.name} returned {_described(made)}, not an agents.Agent.")
        return made


def load_agent(agent: AgentLike | str | None, *, tools: bool = True) -> AgentSource:
    """Where agents come from: `package.module:name`, or the thing itself; for None the default agent.

    `tools=False` leaves the default agent's tools out. Raises `AgentSetupError` with one sentence that says what is
    wrong.
    """
    if agent is None:
        default = default_agent(tools)
        return AgentSource("The default agent", lambda context: default, is_default=True, actions=default_actions())
    if not isinstance(agent, str):
        return _source(agent, f"The agent {getattr(agent, '__name__', None) or type(agent).__name__}")
    module_name, name = _split(agent)
    module = _module(module_name, agent)
    source = _source(_attribute(module, name, agent), f"CHATKIT_AGENT={agent}")
    return replace(source, actions=_actions(module, agent))


def _split(spec: str) -> tuple[str, str]:
    module, colon, name = spec.strip().partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise AgentSetupError(
            f"CHATKIT_AGENT={spec} must look like package.module:name, for example my_agents:support."
        )
    return module, name


def _module(name: str, spec: str) -> ModuleType:
    here = os.getcwd()  # a console script, unlike `python -m`, does not have it on the path
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's module may raise anything; all of it is shown
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise AgentSetupError(
                f"CHATKIT_AGENT={spec}: there is no module {error.name!r} in {here} or among the installed packages."
            ) from None
        reason = f"{type(error).__name__}: {error}".rstrip(": .")
        raise AgentSetupError(f"CHATKIT_AGENT={spec}: importing {name!r} failed with {reason}.") from error


def _attribute(module: ModuleType, name: str, spec: str) -> object:
    if hasattr(module, name):
        return getattr(module, name)
    candidates = [key for key, value in vars(module).items() if isinstance(value, Agent) or inspect.isfunction(value)]
    agents = [key for key, value in vars(module).items() if isinstance(value, Agent)]
    near = get_close_matches(name, candidates, n=3) or agents
    advice = f"; did you mean {' or '.join(near)}?" if near else "."
    raise AgentSetupError(f"CHATKIT_AGENT={spec}: module {module.__name__!r} has no {name!r}{advice}")


def _actions(module: ModuleType, spec: str) -> Actions:
    """What the module calls `actions`, if that is what we call so: an agent may have come with something else."""
    actions = getattr(module, "actions", None)
    if actions is None or inspect.ismodule(actions):
        return Actions()
    if not isinstance(actions, Actions):
        logger.warning(
            "CHATKIT_AGENT=%s: `actions` in module %r is %s, not a chatkit_server.Actions, and answers no action.",
            spec,
            module.__name__,
            _described(actions),
        )
        return Actions()
    return actions


def _source(found: object, title: str) -> AgentSource:
    if isinstance(found, Agent):
        return AgentSource(title, lambda context: found)
    if inspect.isclass(found) or not callable(found):
        raise AgentSetupError(f"{title} is {_described(found)}, not an agents.Agent or a function that returns one.")
    make = cast(Callable[..., Any], found)
    with_context = make if _takes_context(make, title) else lambda context: make()
    return AgentSource(title, with_context, is_function=True)


def _takes_context(make: Callable[..., Any], title: str) -> bool:
    """Whether the function takes an argument. Raises `AgentSetupError` where it needs more than the context."""
    parameters = inspect.signature(make).parameters.values()
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL}]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in required]
    if len(required) > 1 or keywords:
        raise AgentSetupError(
            f"{title} needs the arguments {', '.join(required)}, but an agent's function is given one, "
            "the RequestContext."
        )
    return bool(positional)


def _described(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
