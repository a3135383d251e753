"""Put the `state_variables` of a chat session where an exported workflow reads its state.

Agent Builder's export has the workflow's state as a local variable of `run_workflow`, `state = {"plan": "free"}`, with
the defaults of its start node. The hosted backend replaces them by the session's variables. So the function is compiled
again with one change: what is assigned to `state` is passed through `with_variables`.
"""

import ast
import inspect
import logging
import textwrap
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, TypeVar, cast

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

STATE = "state"
HOOK = "__chatkit_state__"

session_variables: ContextVar[Mapping[str, Any]] = ContextVar("session_variables")
"""The variables of the session whose workflow the current task runs."""


def with_variables(state: Any) -> Any:
    """Return the workflow's initial state with the session's variables in it, if it is a dict."""
    if isinstance(state, MutableMapping):
        state.update(session_variables.get({}))
    return state


def reading_variables(function: F) -> F:
    """Return the function with the session's variables in its first `state`, or the function itself if it has none."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        module = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        logger.debug("the source of %s is not at hand: state_variables stay out of its state", function.__qualname__)
        return function
    definition = module.body[0]
    if not isinstance(definition, ast.AsyncFunctionDef) or (assignment := _first_assignment(definition)) is None:
        return function
    assert assignment.value is not None
    assignment.value = ast.copy_location(
        ast.Call(func=ast.Name(id=HOOK, ctx=ast.Load()), args=[assignment.value], keywords=[]), assignment.value
    )
    definition.decorator_list = []  # they have been applied: what we got is what they returned
    ast.increment_lineno(module, function.__code__.co_firstlineno - 1)
    code = compile(ast.fix_missing_locations(module), function.__code__.co_filename, "exec")
    names: dict[str, Any] = {}
    function.__globals__[HOOK] = with_variables
    exec(code, function.__globals__, names)
    return cast(F, names[definition.name])


def _first_assignment(definition: ast.AsyncFunctionDef) -> ast.Assign | ast.AnnAssign | None:
    """Return the first assignment to `state` in the function, without those of functions inside it."""
    waiting: list[ast.AST] = list(definition.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Assign) and any(_is_state(target) for target in node.targets):
            return node
        if isinstance(node, ast.AnnAssign) and _is_state(node.target) and node.value is not None:
            return node
        waiting[:0] = ast.iter_child_nodes(node)
    return None


def _is_state(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == STATE
