"""The lines of `.env` that serve an export: shown first, written if asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv import set_key

from .check import Checked


@dataclass(frozen=True, slots=True)
class EnvLine:
    """A variable, its new value, and the value that it replaces."""

    name: str
    value: str
    old: str | None

    @property
    def is_new(self) -> bool:
        """Whether `.env` has another value, or none."""
        return self.old != self.value

    def __str__(self) -> str:
        was = f"    # instead of {self.old}" if self.old is not None and self.is_new else ""
        return f"{self.name}={self.value}{was}"


def lines_for(checked: Sequence[Checked], in_file: Mapping[str, str | None]) -> list[EnvLine]:
    """Return what to set: the one workflow, or several by the ids with which sessions are made.

    A mapping that the file already has is kept, and gets another entry.
    """
    served = [(entry, *entry.setting) for entry in checked if entry.setting is not None]
    lines = [EnvLine(name, value, in_file.get(name)) for _, name, value in served if name != "CHATKIT_AGENT"][:1]
    if agents := _agents([(entry, value) for entry, name, value in served if name == "CHATKIT_AGENT"]):
        old = in_file.get("CHATKIT_AGENT")
        mapping = _mapping(old) | agents
        several = len(set(agents.values())) > 1 or bool(_mapping(old))
        value = json.dumps(mapping) if several else next(iter(agents.values()))
        lines.append(EnvLine("CHATKIT_AGENT", value, old))
    return lines


def shared_ids(checked: Sequence[Checked]) -> dict[str, list[Path]]:
    """Return the workflow ids that several files have, such as versions of one workflow. The first file keeps it."""
    files: dict[str, list[Path]] = {}
    for entry in checked:
        for id in entry.workflow_ids if entry.setting is not None else ():
            files.setdefault(id, []).append(entry.path)
    return {id: paths for id, paths in files.items() if len(paths) > 1}


def _agents(served: Sequence[tuple[Checked, str]]) -> dict[str, str]:
    """Return the workflows by their ids; by the module's name if there is none, or another file has it."""
    agents: dict[str, str] = {}
    for entry, value in served:
        own_ids = [id for id in entry.workflow_ids if id not in agents]
        agents |= dict.fromkeys(own_ids or [value.partition(":")[0]], value)
    return agents


def _mapping(value: str | None) -> dict[str, str]:
    try:
        mapping = json.loads(value or "")
    except ValueError:
        return {}
    return mapping if isinstance(mapping, dict) else {}


def write_lines(path: Path, lines: Sequence[EnvLine]) -> None:
    """Set the lines in a `.env` file, which is made if it is missing; all other lines stay as they are."""
    for line in lines:
        set_key(path, line.name, line.value, quote_mode="always" if '"' in line.value else "never")
