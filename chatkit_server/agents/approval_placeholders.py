"""Ask the user where an exported workflow has a placeholder for it.

Agent Builder's export of a "User approval" node is a function that its author is to write:

    def approval_request(message: str):
        # TODO: Implement
        return True

As long as it only returns a constant, it asks with our approval card. A function that does anything else is left alone.
"""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from types import FunctionType
from typing import Any

NAME = re.compile("approv", re.IGNORECASE)
DEFAULT_MESSAGE = "Shall the assistant continue?"
_MARK = "__chatkit_asks__"

Asker = Callable[[str], bool]
approval_asker: ContextVar[Asker | None] = ContextVar("approval_asker", default=None)
"""Asks the user in the turn that the current task runs; None outside of a turn, and inside an agent's run."""


def fill_placeholders(names: MutableMapping[str, Any]) -> list[str]:
    """Replace the placeholders among a module's names by functions that ask. Return the names of all of them."""
    for name, value in list(names.items()):
        if isinstance(value, FunctionType) and is_placeholder(value):
            names[name] = _asking(value)
    return [name for name, value in names.items() if hasattr(value, _MARK)]


def is_placeholder(function: FunctionType) -> bool:
    """Return whether the function is named like an approval and has no body but a constant."""
    if not NAME.search(function.__name__) or hasattr(function, _MARK):
        return False
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    definition = module.body[0]
    return isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef) and does_nothing(definition)


def does_nothing(definition: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function has no body but a constant."""
    return all(map(_is_empty, definition.body))


def _is_empty(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Return(value=None | ast.Constant()):
            return True
    return False


def _asking(function: FunctionType) -> Callable[..., Any]:
    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        asker = approval_asker.get()
        return function(*args, **kwargs) if asker is None else asker(_message(args, kwargs))

    @functools.wraps(function)
    async def ask_async(*args: Any, **kwargs: Any) -> Any:
        asker = approval_asker.get()
        return await function(*args, **kwargs) if asker is None else asker(_message(args, kwargs))

    asking = ask_async if inspect.iscoroutinefunction(function) else ask
    setattr(asking, _MARK, True)
    return asking


def _message(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    values = [kwargs.get("message"), *args, *kwargs.values()]
    return next((str(value) for value in values if value not in (None, "")), DEFAULT_MESSAGE)
