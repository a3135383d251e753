"""Look at an export without importing it: what works, what it needs, what must change, what serves it."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .defects import find_defects, find_empty_values, find_placeholders, find_slow_calls
from .export_file import Export, NotAnExport, read_export
from .hosted_tools_check import find_hosted_tools
from .needs import find_guardrails, find_needs
from .note import Edit, Note, apply_edits
from .served_name import module_of, served_name
from .syntax_tree import yielding_line
from .workflow_course import describe_workflow

MARKS = ("ok", "NOTE", "NEEDS", "FIX")


@dataclass(frozen=True)
class Checked:
    """The notes about a file, in the order of their marks; and what to set, if the server can import it."""

    path: Path
    notes: list[Note]
    setting: tuple[str, str] | None = None
    """The variable and `package.module:name`."""
    workflow_ids: list[str] = field(default_factory=list)
    mended: str | None = None
    """The text with all edits made; None if there are none."""

    @property
    def runs(self) -> bool:
        """Whether nothing in the file itself has to change."""
        return all(note.mark != "FIX" for note in self.notes)


def check_export(path: Path, directory: Path, variables: Mapping[str, str]) -> Checked:
    """Check a file as the server in `directory` would run it, with these variables of environment and `.env`."""
    try:
        export = read_export(path)
    except NotAnExport as error:
        return Checked(path, [Note("FIX", str(error))])
    module, name = module_of(path, directory), served_name(export)
    notes = [part for part in (module, name) if isinstance(part, Note)]
    notes += _notes(export, directory, variables)
    edits = [edit for note in notes if note not in export.repairs for edit in note.edits]
    return Checked(
        path,
        sorted(notes, key=lambda note: (MARKS.index(note.mark), note.line or 0 if note.mark == "FIX" else 0)),
        (name[0], f"{module}:{name[1]}") if isinstance(name, tuple) and isinstance(module, str) else None,
        export.workflow_ids,
        _mended(export, edits),
    )


def faults_of(path: Path) -> list[Note]:
    """Return what must change in a file that the server can import, and what its guardrails lack."""
    try:
        export = read_export(path)
    except NotAnExport as error:
        return [Note("FIX", str(error))]
    notes = [*export.repairs, *find_placeholders(export), *find_defects(export), *find_empty_values(export)]
    notes = [note for note in [*notes, *find_hosted_tools(export)] if note.mark == "FIX"]
    return notes + [note for note in find_guardrails(export) if note.mark == "NEEDS"]


def _notes(export: Export, directory: Path, variables: Mapping[str, str]) -> Iterator[Note]:
    if export.workflow is not None:
        yield from describe_workflow(export, export.workflow)
        if isinstance(export.workflow, ast.FunctionDef):
            yield Note("FIX", f"`{export.workflow.name}` must be `async def`.", export.workflow.lineno)
        elif (number := yielding_line(export.workflow)) is not None:
            yield Note("FIX", f"`{export.workflow.name}` must `return` its answer instead of yielding it.", number)
    elif export.server_class is not None:
        yield Note("ok", f"`{export.server_class.name}` is a ChatKitServer, which runs unchanged.")
    elif len(export.agents) == 1 and not export.has_unsuitable_workflow:
        yield Note("ok", f"`{next(iter(export.agents))}` is an agent, without a workflow around it.")
    yield from find_placeholders(export)
    yield from find_hosted_tools(export)
    yield from find_slow_calls(export)
    if export.workflow is not None or export.agents:
        yield from find_needs(export, directory, variables)
    yield from export.repairs
    yield from find_defects(export)
    yield from find_empty_values(export)


def _mended(export: Export, edits: list[Edit]) -> str | None:
    return apply_edits(export.text, edits) if edits or export.repairs else None
