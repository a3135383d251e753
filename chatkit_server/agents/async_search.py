"""Read pages of an `AsyncOpenAI` client with `async for`, where an exported workflow has `for`.

Agent Builder exports a file search as `[... for result in client.vector_stores.search(...)]` with a client that is an
`AsyncOpenAI`, which raises a TypeError: its pages can only be read asynchronously (openai 3.54).
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from openai import AsyncOpenAI

Loop = ast.For | ast.comprehension
_OTHER_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef | ast.GeneratorExp
"""Code that does not run in the function itself; a generator may be read by something that is not asynchronous."""


def search_async(definition: ast.AsyncFunctionDef, names: Mapping[str, Any]) -> bool:
    """Make the loops over pages asynchronous; return whether there are any. `names` are the function's globals."""
    loops = list(synchronous_loops(definition, lambda path: _reads_pages(path, names)))
    for loop in loops:
        if isinstance(loop, ast.comprehension):
            loop.is_async = 1
    fors = {id(loop) for loop in loops if isinstance(loop, ast.For)}
    if fors:
        _AsyncFor(fors).visit(definition)
    return bool(loops)


def synchronous_loops(definition: ast.AsyncFunctionDef, reads_pages: Callable[[list[str]], bool]) -> Iterator[Loop]:
    """Yield the loops of the function that could be asynchronous, over calls such as `["client", "files", "list"]`."""
    waiting: list[ast.AST] = list(definition.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, _OTHER_SCOPES):
            continue
        waiting += ast.iter_child_nodes(node)
        is_loop = isinstance(node, ast.For) or (isinstance(node, ast.comprehension) and not node.is_async)
        if is_loop and isinstance(node, Loop) and (path := _path_of_call(node.iter)) and reads_pages(path):
            yield node


def _path_of_call(node: ast.expr) -> list[str]:
    """Return the names of what is called, `["client", "files", "list"]`; empty for any other expression."""
    path: list[str] = []
    function = node.func if isinstance(node, ast.Call) else None
    while isinstance(function, ast.Attribute):
        path.insert(0, function.attr)
        function = function.value
    return [function.id, *path] if isinstance(function, ast.Name) else []


def _reads_pages(path: list[str], names: Mapping[str, Any]) -> bool:
    method: Any = names.get(path[0])
    if not isinstance(method, AsyncOpenAI):
        return False
    for name in path[1:]:
        method = getattr(method, name, None)
    return inspect.ismethod(method) and "AsyncPaginator" in str(inspect.signature(method).return_annotation)


class _AsyncFor(ast.NodeTransformer):
    def __init__(self, loops: set[int]) -> None:
        self._loops = loops

    def visit_For(self, node: ast.For) -> ast.For | ast.AsyncFor:
        """Return the loop as an asynchronous one."""
        self.generic_visit(node)
        if id(node) not in self._loops:
            return node
        return ast.copy_location(ast.AsyncFor(node.target, node.iter, node.body, node.orelse, node.type_comment), node)
