"""Read the file that somebody exported from Agent Builder, and say what it is if it is something else."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .note import Note
from .syntax_repairs import Unreadable, repaired
from .syntax_tree import Function, assigned, callee_of, calls, dotted, functions, text_of

_TYPESCRIPT = re.compile(r"""from ["']@openai/agents|export (const|async function) runWorkflow""")
_TYPESCRIPT_SUFFIXES = {".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs"}
WORKFLOW = "run_workflow"
INPUT_PARAMETER, INPUT_FIELD = "workflow_input", "input_as_text"


class NotAnExport(Exception):
    """The file cannot be served; the text says what to do."""


@dataclass(frozen=True)
class Export:
    """An export in Python, mended where Python could not read it."""

    path: Path
    text: str
    tree: ast.Module
    repairs: list[Note]

    @cached_property
    def workflow(self) -> Function | None:
        """The function that runs the workflow: by its name, else by its parameter."""
        candidates = [function for function in functions(self.tree) if self._takes_workflow_input(function)]
        named = [function for function in candidates if function.name == WORKFLOW]
        return next(iter(named or candidates), None)

    @cached_property
    def has_unsuitable_workflow(self) -> bool:
        """Whether the module has a `run_workflow` that cannot be called with the workflow's input alone."""
        return self.workflow is None and any(function.name == WORKFLOW for function in functions(self.tree))

    @cached_property
    def class_of_workflow(self) -> ast.ClassDef | None:
        """The class that has the workflow as a method, which the server cannot call."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and any(getattr(entry, "name", "") == WORKFLOW for entry in node.body):
                return node
        return None

    @cached_property
    def agents(self) -> dict[str, ast.Call]:
        """The agents of the module by their variables."""
        agent_calls = {id(call) for call in calls(self.tree, "Agent")}
        return {
            node.targets[0].id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Call)
            and id(node.value) in agent_calls
        }

    @cached_property
    def server_class(self) -> ast.ClassDef | None:
        """The module's subclass of `ChatKitServer`, if there is one."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    name = dotted(base.value if isinstance(base, ast.Subscript) else base)
                    if name.rpartition(".")[2] == "ChatKitServer":
                        return node
        return None

    @cached_property
    def server_name(self) -> str | None:
        """What CHATKIT_SERVER may name: the class, or its instance in the module if its constructor needs arguments."""
        if (server := self.server_class) is None:
            return None
        constructor = next((node for node in server.body if getattr(node, "name", "") == "__init__"), None)
        arguments = constructor.args if isinstance(constructor, ast.FunctionDef) else None
        if arguments is None or len(arguments.args) - len(arguments.defaults) <= 1:
            return server.name
        assignments = [node for node in self.tree.body if isinstance(node, ast.Assign)]
        instances = [entry for node in assignments for entry in assigned(node, ast.Call)]
        return next((name for name, value, _ in instances if callee_of(value) == server.name), None)

    @cached_property
    def workflow_ids(self) -> list[str]:
        """The `workflow_id` of the trace metadata: the id with which sessions were made."""
        ids = [
            value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Dict)
            for key, entry in zip(node.keys, node.values, strict=True)
            if text_of(key) == "workflow_id" and (value := text_of(entry))
        ]
        return list(dict.fromkeys(ids))

    @cached_property
    def required_fields(self) -> list[str]:
        """The fields of the workflow's input that have no default, besides the text."""
        fields = self._input_classes.get(_annotation(self.workflow) or "", []) if self.workflow is not None else []
        return [dotted(field.target) for field in fields if field.value is None and dotted(field.target) != INPUT_FIELD]

    def _takes_workflow_input(self, function: Function) -> bool:
        parameters = [*function.args.posonlyargs, *function.args.args]
        if not parameters or len(parameters) - len(function.args.defaults) > 1:
            return False
        return parameters[0].arg == INPUT_PARAMETER or _annotation(function) in self._input_classes

    @cached_property
    def _input_classes(self) -> dict[str, list[ast.AnnAssign]]:
        """The fields of each class that has the text of a message."""
        classes = {
            node.name: [field for field in node.body if isinstance(field, ast.AnnAssign)]
            for node in self.tree.body
            if isinstance(node, ast.ClassDef)
        }
        return {
            name: fields
            for name, fields in classes.items()
            if any(dotted(field.target) == INPUT_FIELD for field in fields)
        }


def _annotation(function: Function) -> str | None:
    """Return the type of the function's first parameter, if it is a name."""
    annotation = [*function.args.posonlyargs, *function.args.args][0].annotation
    return text_of(annotation) or (dotted(annotation) if annotation else None)


def read_export(path: Path) -> Export:
    """Read an export. Raises `NotAnExport`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise NotAnExport("This is not a text file in UTF-8.") from None
    except OSError as error:
        raise NotAnExport(f"The file cannot be read: {error.strerror}.") from None
    if path.suffix in _TYPESCRIPT_SUFFIXES or _TYPESCRIPT.search(text):
        raise NotAnExport(
            "This is the TypeScript export; the server runs the Python one. Export again from Agent Builder: Code, "
            "Agents SDK, Python. If that is no longer possible, docs/migrate.md says how to translate it."
        )
    if path.suffix == ".ipynb" or text.lstrip()[:1] == "{":
        raise NotAnExport("This is JSON. The server runs the Python code of Agent Builder: Code, Agents SDK, Python.")
    try:
        text, tree, repairs = repaired(text)
    except Unreadable as error:
        raise NotAnExport(str(error)) from None
    return Export(path, text, tree, repairs)
