"""CHATKIT_SERVER, `create_app(server=...)`: from a name, class, instance or function to the factory of our server."""

import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.store import Store

from ..agents.context_function import ContextFunction
from ..agents.loading import AgentSource
from ..agents.workflows import ONLY, AgentChoice, AgentSources, load_agents
from ..context import RequestContext
from ..errors.author_code import import_failure
from ..errors.setup import AgentSetupError, ModelSetupError, SetupError
from ..run.server import ChatServer, ServerFactory
from ..run.server_parts import ServerParts
from ..settings.working_directory import see_working_directory
from .adopted_server import AdoptedServer
from .author_context import AuthorContexts, ContextMaker

ServerChoice = ServerFactory | ChatKitServer[Any] | type[ChatKitServer[Any]] | Callable[[], ChatKitServer[Any]]
"""`ChatServer` or a subclass, a function that makes one of `ServerParts`; or any other `ChatKitServer`: a class,
whose constructor needs no arguments, an instance, or a function without arguments that returns one."""


def is_adopted(server: Any) -> bool:
    """Return whether it is a chatkit server that was not written for this one."""
    if inspect.isclass(server):
        return issubclass(server, ChatKitServer) and not issubclass(server, ChatServer)
    return isinstance(server, ChatKitServer)


def load_server(server: ServerChoice | str, context: ContextMaker | str | None = None) -> ServerFactory:
    """Return the factory for a server. Raises `SetupError` with one sentence that explains the mistake."""
    title = f"CHATKIT_SERVER={server}" if isinstance(server, str) else f"The server {_name(server)}"
    loaded: Any = _load(server, title) if isinstance(server, str) else server
    if _returns_server(loaded):
        loaded = _made(loaded, title)
    if not is_adopted(loaded):
        return _own_factory(loaded, title)
    contexts = AuthorContexts(*_context_maker(context))
    author = _made(loaded, title) if inspect.isclass(loaded) else loaded
    if not isinstance(getattr(author, "store", None), Store):
        raise SetupError(f"{title} has no `store` of chatkit's: its constructor must call `super().__init__(store)`.")
    return Adoption(author, contexts, title)


@dataclass(frozen=True)
class Adoption:
    """The factory for an adopted server."""

    author: ChatKitServer[Any]
    contexts: AuthorContexts
    title: str

    def __call__(self, parts: ServerParts) -> ChatServer:
        """Return the server."""
        return AdoptedServer(parts, self.author, self.contexts)

    def agents(self) -> AgentSources:
        """Return the source of no agent: the author's code runs its own."""

        def refuse(context: RequestContext) -> AgentSource:
            raise AgentSetupError(f"{self.title} runs its own agents.")

        return AgentSources({ONLY: AgentSource(self.title, refuse, is_function=True)}, is_mapping=False)


def load_agents_for(
    server: ServerFactory, agent: AgentChoice | str | None, context: ContextMaker | str | None = None, *, tools: bool
) -> AgentSources:
    """Return the agents that answer; `context` makes the contexts of their runs.

    Raises `SetupError` for an agent beside an adopted server, which would never answer.
    """
    if not isinstance(server, Adoption):
        agents, (make, title) = load_agents(agent, tools=tools), _context_maker(context)
        return agents if make is None else agents.with_context(ContextFunction(make, title))
    if agent is not None:
        raise SetupError(f"{server.title} runs its own agents: remove CHATKIT_AGENT, or `agent`.")
    return server.agents()


def _context_maker(context: ContextMaker | str | None) -> tuple[Any, str]:
    """Return the function that makes contexts, and how errors name it."""
    if not isinstance(context, str):
        return context, "create_app(context=...)"
    title = f"CHATKIT_SERVER_CONTEXT={context}"
    return _load(context, title), title


def _own_factory(loaded: Any, title: str) -> ServerFactory:
    if isinstance(loaded, ChatServer) or not callable(loaded):
        raise SetupError(f"{title} is of type {type(loaded).__name__}, not a class of a ChatKitServer.")
    if inspect.isclass(loaded) and not issubclass(loaded, ChatKitServer):
        raise SetupError(f"{title} is the class {loaded.__name__}, not a class of a ChatKitServer.")
    if len(required := _required(loaded)) > 1:
        raise _needs(required, title)

    def make(parts: ServerParts) -> ChatServer:
        server = _called(loaded, title, parts)
        if not isinstance(server, ChatServer):
            raise SetupError(
                f"{title} has returned an object of type {type(server).__name__}, not a ChatServer. "
                "A function that returns another ChatKitServer takes no arguments."
            )
        return server

    return make


def _returns_server(loaded: Any) -> bool:
    """Return whether it is a function that is called without `ServerParts`."""
    if not callable(loaded) or inspect.isclass(loaded) or is_adopted(loaded):
        return False
    wrapped = inspect.unwrap(loaded.func if isinstance(loaded, partial) else loaded)  # `partial` joins partials itself
    if inspect.isclass(wrapped):
        return not issubclass(wrapped, ChatServer)
    kinds = {parameter.kind for parameter in inspect.signature(loaded).parameters.values()}
    return inspect.Parameter.VAR_POSITIONAL not in kinds and not _required(loaded)


def _load(spec: str, title: str) -> object:
    see_working_directory()
    try:
        return pkgutil.resolve_name(spec)
    except (Exception, SystemExit) as error:  # the author's module may raise anything
        raise SetupError(f"{title} cannot be imported: {import_failure(error)}.") from error


def _made(make: Any, title: str) -> Any:
    """Call a class or function without arguments."""
    if required := _required(make):
        raise _needs(required, title)
    instance = _called(make, title)
    if inspect.iscoroutine(instance):
        instance.close()
        raise SetupError(f"{title} is async. Name an instance, or a function that returns one without waiting.")
    return instance


def _called(make: Any, title: str, *arguments: object) -> Any:
    try:
        return make(*arguments)
    except (SetupError, AgentSetupError, ModelSetupError):
        raise
    except (Exception, SystemExit) as error:  # the author's constructor may raise anything
        raise SetupError(f"{title} cannot be made: {import_failure(error)}.") from error


def _needs(required: Sequence[str], title: str) -> SetupError:
    return SetupError(
        f"{title} needs the arguments {', '.join(required)}. Name an instance, or a function that returns one."
    )


def _required(make: Any) -> list[str]:
    """Return the names of the arguments that a class or function cannot be called without."""
    parameters = inspect.signature(make).parameters.values()
    variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variable]


def _name(server: object) -> str:
    return getattr(server, "__name__", None) or type(server).__name__
