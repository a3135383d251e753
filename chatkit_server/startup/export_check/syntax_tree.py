"""Questions about a syntax tree. A node that is not literal has no value here: nothing of the file is executed."""

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression; empty for any other."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if base := dotted(value):
            return f"{base}.{attr}"
        case _:
            return ""


def callee(call: ast.Call) -> str:
    """Return the last name of what is called: `Agent` for `Agent(...)` and for `agents.Agent(...)`."""
    if isinstance(call.func, ast.Subscript):  # Agent[Context](...)
        return dotted(call.func.value).rpartition(".")[2]
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)


def callee_of(value: ast.expr) -> str:
    """Return the last name of what an expression calls; empty if it is not a call."""
    return callee(value) if isinstance(value, ast.Call) else ""


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Return the calls of functions or classes with one of these names, in the order of the file."""
    matching = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and callee(node) in names]
    yield from sorted(matching, key=lambda node: (node.lineno, node.col_offset))


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """Return an argument by keyword, or by position; None if it is missing."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[position] if position is not None and position < len(call.args) else None


def text_of(node: ast.expr | None) -> str | None:
    """Return the value of a literal string; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts_of(node: ast.expr | None) -> list[str]:
    """Return the literal strings of a list; empty if it is none."""
    elements = node.elts if isinstance(node, ast.List | ast.Tuple) else []
    return [text for element in elements if (text := text_of(element)) is not None]


def entries(node: ast.expr | None) -> dict[str, ast.expr]:
    """Return the values of a dict display by their literal keys; empty if it is none."""
    if not isinstance(node, ast.Dict):
        return {}
    return {
        name: value for key, value in zip(node.keys, node.values, strict=True) if (name := text_of(key)) is not None
    }


def functions(tree: ast.Module) -> Iterator[Function]:
    """Return the functions of the module itself, not those within others."""
    yield from (node for node in tree.body if isinstance(node, Function))


def yielding_line(function: Function) -> int | None:
    """Return the line of the function's first `yield`, without those of functions inside it; None if there is none."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return node.lineno
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting[:0] = ast.iter_child_nodes(node)
    return None


def assigned(tree: ast.AST, kind: type[ast.expr] = ast.expr) -> Iterator[tuple[str, ast.expr, int]]:
    """Return name, value and line of each assignment of such an expression to one name."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if isinstance(value, kind):
                yield name, value, node.lineno
            case _:
                pass
