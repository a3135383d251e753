"""`chatkit-server migrate-workflow`: what an export of Agent Builder needs, and the settings that serve it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..settings.working_directory import ENV_FILE, environment, file_variables, variables
from .export_check import MARKS, Checked, EnvLine, check_export, lines_for, shared_ids, write_lines

TITLES = {
    "ok": "Works",
    "NOTE": "Not as it was",
    "NEEDS": "Needs",
    "FIX": "Must be changed in the file",
}


def migrate_workflow(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Python files exported from Agent Builder.")],
    write: Annotated[
        bool, typer.Option("--write/--dry-run", help="Write the settings to .env, or only show them.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend the file where the export itself is wrong; the original stays as .orig.")
    ] = False,
) -> None:
    """Look at exported workflows: what works, what they need, what must change. Exit with 1 if they cannot run yet.

    The files are read and not imported. Several become one CHATKIT_AGENT, by the ids with which sessions are made.
    """
    files = list(dict.fromkeys(files))
    checked = [_check(file) for file in files]
    if fix:
        for before in [entry for entry in checked if entry.mended is not None]:
            _mend(before)
        checked = [_check(file) for file in files]
    for entry in checked:
        _print(entry)
    is_ready = all(entry.runs for entry in checked)
    for id, (first, *others) in shared_ids(checked).items():
        typer.echo(f"{first} gets the sessions with the id {id}. Give the others an id of their own, see below:")
        typer.echo(f"  {', '.join(map(str, others))}\n")
    if lines := lines_for(checked, file_variables()):
        _set(lines, has_server="CHATKIT_SERVER" in variables(), write=write, is_ready=is_ready)
    if not is_ready:
        raise typer.Exit(1)


def _check(file: Path) -> Checked:
    return check_export(file, Path.cwd(), variables())


def _mend(entry: Checked) -> None:
    original = entry.path.with_name(f"{entry.path.name}.orig")
    if not original.exists():
        original.write_bytes(entry.path.read_bytes())
    entry.path.write_text(entry.mended or "", encoding="utf-8")
    typer.echo(f"Mended {entry.path}; the original is {original}.\n")


def _print(entry: Checked) -> None:
    typer.echo(str(entry.path))
    for mark in MARKS:
        notes = [note for note in entry.notes if note.mark == mark]
        if notes:
            typer.echo(f"\n  {TITLES[mark]}")
        for note in notes:
            typer.echo(f"    {mark:<6} {note}")
    typer.echo()


def _set(lines: Sequence[EnvLine], *, has_server: bool, write: bool, is_ready: bool) -> None:
    typer.echo("Settings for .env")
    for line in lines:
        typer.echo(f"  {line}")
        if line.name == "CHATKIT_AGENT" and has_server:
            typer.echo("  CHATKIT_SERVER is set as well: remove it, unless it is to run this workflow.")
        if environment().get(line.name, line.value) != line.value:
            typer.echo(f"  The environment has another {line.name}, which takes precedence over .env.")
    new = [line for line in lines if line.is_new]
    if not new:
        typer.echo(f"{ENV_FILE} has them already.")
    elif write:
        write_lines(Path(ENV_FILE), new)
        first = "" if is_ready else "what must be changed in the file, then "
        typer.echo(f"Written to {ENV_FILE}. Next: {first}chatkit-server doctor, then chatkit-server serve.")
    else:
        typer.echo("Nothing is written yet: add --write.")
