"""The name under which the server imports a file: `package.module:name`, as in CHATKIT_AGENT."""

import importlib.machinery
import re
import sys
from pathlib import Path

from .export_file import Export
from .note import Note


def module_of(path: Path, directory: Path) -> str | Note:
    """Return the module's name as seen from the server's working directory, or what keeps it from being imported."""
    try:
        parts = path.resolve().relative_to(directory.resolve()).with_suffix("").parts
    except ValueError:
        return Note("FIX", f"The server imports from its working directory: move {path.name} into {directory}.")
    unsuitable = [part for part in parts if not part.isidentifier()]
    if path.suffix != ".py" or unsuitable:
        new = re.sub(r"\W", "_", path.stem)
        name = f"{new if new[:1].isalpha() else f'workflow_{new}'}.py"
        return Note("FIX", f"Python cannot import a file at {path}: rename it, for example to {name}.")
    if _is_taken(parts[0], directory):
        return Note(
            "FIX", f"`{parts[0]}` is already the name of a package: rename the file, for example my_workflow.py."
        )
    return ".".join(parts)


def _is_taken(name: str, directory: Path) -> bool:
    if name in sys.stdlib_module_names:
        return True
    path = [entry for entry in sys.path if entry and Path(entry).resolve() != directory.resolve()]
    return importlib.machinery.PathFinder.find_spec(name, path) is not None


def served_name(export: Export) -> tuple[str, str] | Note:
    """Return the setting and the name in the module that serves it, or what is missing for that."""
    if export.workflow is not None:
        return "CHATKIT_AGENT", export.workflow.name
    if export.server_class is not None:
        if export.server_name is not None:
            return "CHATKIT_SERVER", export.server_name
        text = f"The constructor of {export.server_class.name} needs arguments: write a function that returns one, and "
        return Note("FIX", f"{text}name it in CHATKIT_SERVER.", export.server_class.lineno)
    if export.has_unsuitable_workflow:
        return Note("FIX", "`run_workflow` must take one argument, `workflow_input`; others need defaults.")
    if (outer := export.class_of_workflow) is not None:
        return Note(
            "FIX",
            f"`run_workflow` is a method of {outer.name}: the server needs a function of the module that calls it, "
            "`async def run_workflow(workflow_input)`.",
            outer.lineno,
        )
    agents = list(export.agents)
    if len(agents) == 1:
        return "CHATKIT_AGENT", agents[0]
    if agents:
        return Note(
            "FIX",
            f"There is no `async def run_workflow(workflow_input)`, but there are the agents {', '.join(agents)}: set "
            "CHATKIT_AGENT to the one that starts.",
        )
    if "chatkit.sessions" in export.text or "chatkit.threads" in export.text:
        return Note("FIX", "This calls the hosted API: give its client another base_url and api_key (docs/migrate.md).")
    return Note(
        "FIX",
        "This is no export of Agent Builder: it has neither an `async def run_workflow(workflow_input)` nor an Agent.",
    )
