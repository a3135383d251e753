"""Mistakes of Agent Builder that keep Python from reading an export, and how to mend them."""

import ast
import re
import symtable
import sys

from .note import Edit, Note, apply_edits

JSON_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "null": "None",
}
"""JSON schema types, which the export writes as annotations of functions, and the Python types that are meant."""

MAX_REPAIRS = 20
_OR_NULL = re.compile(rf":\s*({'|'.join(JSON_TYPES)}|object),\s*null\b")
_EMPTY_BLOCK = re.compile(r"expected an indented block after .* on line (\d+)")
_REPLACED_FIELD = re.compile(r"\{[^{}]*\"[^{}]*\}")


class Unreadable(Exception):
    """Python cannot read the file; the text says why, with the line."""


def repaired(text: str) -> tuple[str, ast.Module, list[Note]]:
    """Return the text that Python can read, its tree, and a note for each repair. Raises `Unreadable`.

    Lines keep their numbers.
    """
    notes = _nullable_parameters(text)
    text = _mend(text, notes)
    for _ in range(MAX_REPAIRS):
        try:
            symtable.symtable(text, "export", "exec")  # refuses more than the parser, for example duplicate arguments
            return text, ast.parse(text), notes
        except SyntaxError as error:
            repairs = _repairs(text, error)
            if not repairs:
                place = f"line {error.lineno}: " if error.lineno else ""
                raise Unreadable(f"{place}Python cannot read this ({error.msg}).") from None
            notes += repairs
            text = _mend(text, repairs)
        except ValueError as error:  # null bytes, which are a SyntaxError since 3.12
            raise Unreadable(f"Python cannot read this ({error}).") from None
    raise Unreadable(f"line {notes[-1].line}: Python cannot read this.")


def _mend(text: str, notes: list[Note]) -> str:
    return apply_edits(text, [edit for note in notes for edit in note.edits])


def _nullable_parameters(text: str) -> list[Note]:
    """`region: string,null` is a parameter `region` of an unknown type, and one named `null`."""
    return [
        Note(
            "FIX",
            "The type of a tool's argument is one of JSON, not of Python.",
            number,
            tuple(
                Edit(number, match.group(), f": {JSON_TYPES.get(match.group(1), match.group(1))} | None")
                for match in {match.group(): match for match in _OR_NULL.finditer(line)}.values()
            ),
        )
        for number, line in enumerate(text.split("\n"), 1)
        if line.lstrip().startswith(("def ", "async def ")) and _OR_NULL.search(line)
    ]


def _repairs(text: str, error: SyntaxError) -> list[Note]:
    number = error.lineno or 1
    lines = text.split("\n")
    if empty := _EMPTY_BLOCK.match(error.msg):
        return _empty_block(lines, int(empty.group(1)), number)
    line = lines[number - 1]
    if sys.version_info < (3, 12) and "f-string" in error.msg:
        return _nested_quotes(number, line)
    return []


def _empty_block(lines: list[str], start: int, end: int) -> list[Note]:
    """`else:` without anything below it, which Agent Builder exports for a branch that leads nowhere. Its header begins
    in line `start`; Python has noticed in line `end`. An empty loop is left to its author: it might never end."""
    if lines[start - 1].lstrip().startswith(("while ", "for ", "async for ")):
        return []
    for number in range(max(start, end - 1), start - 1, -1):
        header = lines[number - 1].rstrip()
        if header.endswith(":"):
            return [Note("FIX", "This branch is empty.", number, (Edit(number, header, f"{header} pass"),))]
    return []


def _nested_quotes(number: int, line: str) -> list[Note]:
    """`f"{state["name"]}"`: Python reads the same quotes within an f-string since 3.12."""
    start = line.find('f"')
    fields = {match.group() for match in _REPLACED_FIELD.finditer(line[start:])} if start >= 0 else set()
    edits = tuple(Edit(number, field, field.replace('"', "'")) for field in sorted(fields))
    version = ".".join(map(str, sys.version_info[:2]))
    text = f"Needs Python 3.12, and this is Python {version}; or other quotes."
    return [Note("FIX", text, number, edits)] if edits else []
