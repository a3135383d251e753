"""What Agent Builder exports that fails when it runs, although Python can read it."""

import ast
import builtins
import importlib
import symtable
from collections.abc import Iterator

from ...agents.approval_placeholders import NAME, does_nothing
from ...agents.async_search import Loop, synchronous_loops
from .export_file import Export
from .note import Edit, Note
from .syntax_repairs import JSON_TYPES
from .syntax_tree import argument, assigned, callee, callee_of, calls, dotted, functions

_LIBRARIES = ("agents", "openai", "pydantic", "typing")
_MODULE_NAMES = {"__name__", "__file__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__"}


def find_defects(export: Export) -> Iterator[Note]:
    """Yield what makes the export fail at startup or in a turn."""
    yield from _undefined_names(export)
    yield from _searches(export)
    yield from _blocking_calls(export)


def _undefined_names(export: Export) -> Iterator[Note]:
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(export.tree)):
        return
    for name in sorted(_globals_without_value(symtable.symtable(export.text, "export", "exec"))):
        places = [node for node in ast.walk(export.tree) if isinstance(node, ast.Name) and node.id == name]
        if not places:
            continue
        number = min(node.lineno for node in places)
        if name in JSON_TYPES:
            lines = export.text.split("\n")
            edits = tuple(
                Edit(line, f": {name}", f": {JSON_TYPES[name]}")
                for line in sorted({node.lineno for node in places})
                if f": {name}" in lines[line - 1]
            )
            yield Note("FIX", f"`{name}` is a type of JSON, not of Python.", number, edits)
            continue
        library = next((library for library in _LIBRARIES if hasattr(importlib.import_module(library), name)), None)
        advice = f"it lacks `from {library} import {name}`" if library else "define or import it"
        yield Note("FIX", f"`{name}` is not defined: {advice}.", number, _import_too(export, library, name))


def _import_too(export: Export, library: str | None, name: str) -> tuple[Edit, ...]:
    for node in export.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == library:
            line = export.text.split("\n")[node.lineno - 1]
            old = f"from {library} import {'(' if line.rstrip().endswith('(') else ''}"
            return (Edit(node.lineno, old, f"{old}{name}, "),) if line.startswith(old) else ()
    return ()


def _globals_without_value(module: symtable.SymbolTable) -> set[str]:
    defined, used, tables = set(_MODULE_NAMES), set(), [module]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            is_global = symbol.is_global() or table is module
            if is_global and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                defined.add(symbol.get_name())
            elif is_global and symbol.is_referenced():
                used.add(symbol.get_name())
    return used - defined - set(dir(builtins))


def _searches(export: Export) -> Iterator[Note]:
    """Yield each loop over pages of an async client that is not an async loop; the server makes the workflow's own."""
    clients = {name for name, value, _ in assigned(export.tree, ast.Call) if callee_of(value) == "AsyncOpenAI"}
    changed = set()
    if isinstance(export.workflow, ast.AsyncFunctionDef):
        changed = {id(loop) for loop in synchronous_loops(export.workflow, lambda path: path[0] in clients)}
    for loop in ast.walk(export.tree):
        if not isinstance(loop, Loop) or id(loop) in changed or getattr(loop, "is_async", False):
            continue
        call = loop.iter
        if not isinstance(call, ast.Call) or callee(call) not in {"search", "list"}:
            continue
        if dotted(call.func).partition(".")[0] in clients:
            number = loop.target.lineno
            old = f"for {ast.unparse(loop.target)} in "
            edits = (Edit(number, old, f"async {old}"),) if old in export.text.split("\n")[number - 1] else ()
            yield Note("FIX", f"`{dotted(call.func)}` of an AsyncOpenAI needs `async for`.", number, edits)


def _blocking_calls(export: Export) -> Iterator[Note]:
    for call in calls(export.tree, "run_sync"):
        if dotted(call.func) == "Runner.run_sync":
            yield Note("FIX", "Runner.run_sync fails in a server: use `await Runner.run`.", call.lineno)
    for call in calls(export.tree, "input"):
        if isinstance(call.func, ast.Name):
            yield Note("FIX", "input() waits for the keyboard of the server.", call.lineno)
    for node in export.tree.body:  # what stands below `if __name__ == "__main__"` does not run
        if isinstance(node, ast.Expr | ast.Assign):
            for call in calls(node, "run"):
                if (name := dotted(call.func)) in {"asyncio.run", "uvicorn.run", "app.run"}:
                    yield Note("FIX", f"{name} at module level runs when the server imports the file.", call.lineno)


def find_slow_calls(export: Export) -> Iterator[Note]:
    """Yield the calls that let all users wait: they block the event loop."""
    clients = {name for name, value, _ in assigned(export.tree, ast.Call) if callee_of(value) == "OpenAI"}
    coroutines = [node for node in ast.walk(export.tree) if isinstance(node, ast.AsyncFunctionDef)]
    for call in [node for function in coroutines for node in ast.walk(function) if isinstance(node, ast.Call)]:
        name = dotted(call.func)
        if name == "time.sleep" or name.partition(".")[0] in {"requests", *clients}:
            yield Note("NOTE", f"{name} lets all users of the server wait: use an asynchronous one.", call.lineno)


def find_placeholders(export: Export) -> Iterator[Note]:
    """Yield the tools that Agent Builder could not export, and the approvals that the server asks for instead."""
    for function in functions(export.tree):
        if not does_nothing(function):
            continue
        if any("function_tool" in ast.unparse(decorator) for decorator in function.decorator_list):
            yield Note(
                "FIX",
                f"The tool `{function.name}` does nothing yet. Write its body; or, if the page answers it in "
                "onClientTool, put chatkit_server.client_tool in place of function_tool.",
                function.lineno,
            )
        elif NAME.search(function.name) and list(calls(export.tree, function.name)):
            yield Note("ok", f"`{function.name}` asks the user, with Approve and Reject in the chat.", function.lineno)


def find_empty_values(export: Export) -> Iterator[Note]:
    """Yield searches and tools whose node had no vector store or query in Agent Builder."""
    for call in calls(export.tree, "search"):
        for name, meaning in (("vector_store_id", "vector store"), ("query", "query")):
            value = argument(call, name)
            if isinstance(value, ast.Constant) and value.value == "":
                yield Note("FIX", f"The search has no {meaning}: {name} is empty.", value.lineno)
