"""Put the `state_variables` of a chat session where an exported workflow reads its state.

Agent Builder's export has the workflow's state as a local variable of `run_workflow`, `state = {"plan": "free"}`, with
the defaults of its start node. The hosted backend replaces them by the session's variables. So the function is compiled
again (`recompiled.py`) with one change: what is first assigned to `state` is passed through `with_variables`.
"""

import ast
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from copy import copy
from typing import Any

STATE = "state"
HOOK = "__chatkit_state__"

session_variables: ContextVar[Mapping[str, Any]] = ContextVar("session_variables")
"""The variables of the session whose workflow the current task runs."""


def with_variables(state: Any) -> Any:
    """Return a copy of the workflow's initial state with the session's variables in it, if it is a dict.

    A copy, because `state` may be the name of defaults that all turns share.
    """
    if isinstance(state, MutableMapping):
        state = _copied(state)
        state.update(session_variables.get({}))
    return state


def _copied(value: Any) -> Any:
    """Copy a value as deep as its dicts and lists go: what else a state has, such as a client, may have no copy."""
    match value:
        case MutableMapping():
            entries = copy(value)
            entries.update({key: _copied(entry) for key, entry in value.items()})
            return entries
        case list():
            return [_copied(entry) for entry in value]
        case set():
            return copy(value)
    return value


def read_variables(definition: ast.AsyncFunctionDef, names: dict[str, Any]) -> bool:
    """Let the first `state` of the function have the session's variables. Return whether it has a state.

    `names` are its globals.
    """
    assignment = _first_assignment(definition)
    if assignment is None or assignment.value is None:
        return False
    assignment.value = ast.copy_location(
        ast.Call(func=ast.Name(id=HOOK, ctx=ast.Load()), args=[assignment.value], keywords=[]), assignment.value
    )
    names[HOOK] = with_variables
    return True


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
