"""The author's function that makes the context of a run: `context` beside the agent, or `create_app(context=...)`.

It asks for what it needs by the names of its parameters, as handlers of actions do.
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from chatkit.store import Store
from chatkit.types import ThreadMetadata

from ..context import RequestContext, request_of
from ..errors.setup import SetupError

PARAMETERS = ("thread", "context", "request_context", "request", "store")
"""What it may ask for; `request_context` is another name of `context`, our `RequestContext`."""


class ContextFunction:
    """Makes the object that tools, guardrails and instructions of an agent get as the context of their run."""

    def __init__(self, function: Callable[..., Any], title: str) -> None:
        """`title` names the function in errors. Raises `SetupError` if it needs parameters that we do not have."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise SetupError(f"{title} is not a function that makes a context.") from error
        variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        unknown = [p.name for p in parameters if p.name not in PARAMETERS and p.default is p.empty]
        unknown = [name for name in unknown if inspect.signature(function).parameters[name].kind not in variable]
        if unknown:
            raise SetupError(
                f"{title} has the parameter{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}; "
                f"it can have {', '.join(PARAMETERS)}."
            )
        self.title = title
        self._function = function
        self._names = [p.name for p in parameters if p.name in PARAMETERS]
        self._positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name in self._names]

    async def make(self, thread: ThreadMetadata, context: RequestContext, store: Store[RequestContext]) -> Any:
        """Return a new context for a turn or an action of this thread. Raises what the function raises."""
        values: dict[str, Any] = {"thread": thread, "context": context, "request_context": context, "store": store}
        if "request" in self._names:
            values["request"] = request_of(context)
        positional = [values[name] for name in self._positional]
        made = self._function(
            *positional, **{name: values[name] for name in self._names if name not in self._positional}
        )
        return await made if inspect.isawaitable(made) else made

    @property
    def returned(self) -> Any:
        """The annotation of what it returns; `Any` without a usable one."""
        return returned_by(self._function)


def returned_by(function: Callable[..., Any]) -> Any:
    """Return the annotation of what a function returns, for an async one of what it is awaited to; else `Any`."""
    target: Any = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target).get("return", Any)
    except Exception:  # names that exist for type checkers only
        return Any
