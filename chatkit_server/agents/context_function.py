"""The author's function that makes the context of a run: `context` beside the agent, or `create_app(context=...)`.

It asks for what it needs by the names or the annotations of its parameters.
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from chatkit.store import Store
from chatkit.types import ThreadMetadata
from starlette.requests import HTTPConnection, Request

from ..context import RequestContext, request_of
from ..errors.setup import SetupError

PARAMETERS = ("thread", "context", "request_context", "request", "store")
"""What it may ask for; `request_context` is another name of `context`, our `RequestContext`."""
BY_CLASS: dict[Any, str] = {
    ThreadMetadata: "thread",
    RequestContext: "context",
    Request: "request",
    HTTPConnection: "request",
    Store: "store",
}
"""The same for parameters of other names, by their annotations."""


class ContextFunction:
    """Makes the object that tools, guardrails and instructions of an agent get as the context of their run."""

    def __init__(self, function: Callable[..., Any], title: str) -> None:
        """`title` names the function in errors. Raises `SetupError` if it needs parameters that we do not have."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise SetupError(f"{title} is not a function that makes a context.") from error
        self.title = title
        self._function = function
        self._hints = _hints(function)
        sources = {parameter.name: self._source(parameter.name) for parameter in parameters}
        variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        required = [p.name for p in parameters if p.default is p.empty and p.kind not in variable]
        if unknown := [name for name in required if sources[name] is None]:
            raise SetupError(
                f"{title} has the parameter{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}; "
                f"it can have {', '.join(PARAMETERS)}."
            )
        positional = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
        usable = [(name, source) for name, source in sources.items() if source is not None]
        self._positional = [source for name, source in usable if name in positional]
        self._named = [(name, source) for name, source in usable if name not in positional]

    def _source(self, name: str) -> str | None:
        """Return which of `PARAMETERS` a parameter means, by its name or else by its class."""
        if name in PARAMETERS:
            return name
        kind = typing.get_origin(self._hints.get(name)) or self._hints.get(name)
        return next((source for context_class, source in BY_CLASS.items() if kind is context_class), None)

    async def make(self, thread: ThreadMetadata, context: RequestContext, store: Store[RequestContext]) -> Any:
        """Return a new context for a turn or an action of this thread. Raises what the function raises."""
        values = {"thread": thread, "context": context, "request_context": context, "store": store}
        values["request"] = request_of(context)
        named = {name: values[source] for name, source in self._named}
        own_context = self._function(*(values[source] for source in self._positional), **named)
        return await own_context if inspect.isawaitable(own_context) else own_context

    @property
    def returned(self) -> Any:
        """The annotation of what it returns; `Any` without a usable one."""
        return self._hints.get("return", Any)


def returned_by(function: Callable[..., Any]) -> Any:
    """Return the annotation of what a function returns, for an async one of what it is awaited to; else `Any`."""
    return _hints(function).get("return", Any)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target: Any = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:  # names that exist for type checkers only
        return {}
