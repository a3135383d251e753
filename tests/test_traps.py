"""docs/traps.md has an entry for each trap code in use, and no text refers to a document outside the repository."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "traps.md"
FOLDERS = ("chatkit_server", "store", "tests", "alembic", "docs", "examples", "bench", "scripts", "web/src", "web/e2e")
FILES = ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", ".env.example")
SUFFIXES = frozenset({".py", ".md", ".mako", ".toml", ".sh", ".js", ".ts", ".tsx", ".css"})

HEADING = re.compile(r"^### (T\d+)$", re.MULTILINE)
CODE = re.compile(r"\bT\d{1,2}\b")
OUTSIDE = re.compile(r"\b(PROTOCOL|DESIGN|TRAPS)\b|\b[PD]\d{1,2}\b")
"""References to documents that are not in the repository."""


def sources() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every source and document, except docs/traps.md and this file."""
    paths = [ROOT / name for name in FILES]
    for folder in FOLDERS:
        paths += (path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    for path in paths:
        if path in (PAGE, Path(__file__)):
            continue
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


USED = {code for _, text in sources() for code in CODE.findall(text)}
HEADINGS = HEADING.findall(PAGE.read_text(encoding="utf-8"))


def test_each_trap_code_in_use_has_one_heading() -> None:
    assert len(HEADINGS) == len(set(HEADINGS))
    assert USED - set(HEADINGS) == set()


def test_each_heading_is_used() -> None:
    assert set(HEADINGS) - USED == set()


def test_nothing_refers_to_a_document_outside_the_repository() -> None:
    references = [
        f"{path}:{number}: {line.strip()}"
        for path, text in sources()
        for number, line in enumerate(text.splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert references == []
