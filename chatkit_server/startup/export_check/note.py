"""What the check of an export says: one note for each thing that works, is needed, or must be changed."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "NOTE", "NEEDS", "FIX"]
"""`NEEDS`: something outside of the file is missing. `FIX`: the file cannot run as it is. `NOTE`: not as it was."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement within a line that mends the export."""

    line: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"Replace `{self.old.strip()}` with `{self.new.strip()}`"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about the export, and the edits that do away with its reason."""

    mark: Mark
    text: str
    line: int | None = None
    edits: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        advice = f" {self.edits[0]} (--fix does it)." if self.edits else ""
        return f"{place}{self.text}{advice}"


def apply_edits(text: str, edits: list[Edit]) -> str:
    """Return the text of an export with all edits made."""
    lines = text.split("\n")
    for edit in edits:
        lines[edit.line - 1] = lines[edit.line - 1].replace(edit.old, edit.new)
    return "\n".join(lines)
