"""Compile an author's function again with small changes to its syntax tree.

Only the code of the function is exchanged: its decorators, its closure and everybody who has imported it keep it.
"""

import __future__

import ast
import inspect
import logging
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from types import CodeType, FunctionType
from typing import Any

logger = logging.getLogger(__name__)

Change = Callable[[ast.AsyncFunctionDef, dict[str, Any]], bool]
"""Changes the tree of a function, and may add to its globals. Returns whether it did."""

_FUTURES = reduce(lambda flags, name: flags | getattr(__future__, name).compiler_flag, __future__.all_feature_names, 0)


def recompile(function: Callable[..., Any], changes: Sequence[Change]) -> None:
    """Apply the changes to a coroutine function, below its decorators. Without its source it stays as it is."""
    inner = inspect.unwrap(function)
    if not isinstance(inner, FunctionType):
        return
    try:
        lines, first_line = inspect.getsourcelines(inner.__code__)
        module = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        logger.debug("the source of %s is not at hand: it runs as it is", inner.__qualname__)
        return
    definition = module.body[0]
    if not isinstance(definition, ast.AsyncFunctionDef) or not _apply(changes, definition, inner.__globals__):
        return
    definition.decorator_list = []
    ast.increment_lineno(ast.fix_missing_locations(module), first_line - 1)
    code = _compiled(module, definition, inner.__code__)
    if code is not None:
        inner.__code__ = code


def _apply(changes: Sequence[Change], definition: ast.AsyncFunctionDef, names: dict[str, Any]) -> bool:
    changed = [change(definition, names) for change in changes]
    return any(changed)


def _compiled(module: ast.Module, definition: ast.AsyncFunctionDef, old: CodeType) -> CodeType | None:
    """Return the new code, or None if it does not take the place of the old one."""
    if old.co_freevars:  # a closure: its names must be those of an outer function
        module.body = [_enclosing(definition, old.co_freevars)]
        ast.fix_missing_locations(module)
    code = compile(module, old.co_filename, "exec", flags=old.co_flags & _FUTURES, dont_inherit=True)
    return next(
        (new for new in _codes(code) if new.co_name == old.co_name and new.co_freevars == old.co_freevars), None
    )


def _enclosing(definition: ast.AsyncFunctionDef, names: Sequence[str]) -> ast.FunctionDef:
    assigned = [ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=ast.Constant(None)) for name in names]
    arguments = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    outer = ast.FunctionDef(name="outer", args=arguments, body=[*assigned, definition], decorator_list=[])
    for statement in (outer, *assigned):
        ast.copy_location(statement, definition)
    return outer


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of the functions in it, outer ones first."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
