"""docs/deploy.md: a running server shares the database with the next version, since migrations only add."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.processes import ROOT

VERSIONS = sorted((ROOT / "alembic" / "versions").glob("*.py"))
BREAKING = {"drop_table", "drop_column", "rename_table", "alter_column", "batch_alter_table", "create_check_constraint"}
BREAKING_SQL = re.compile(r"\b(DROP TABLE|DROP COLUMN|RENAME|ALTER COLUMN)\b", re.IGNORECASE)


def breaking_changes(code: str) -> Iterator[str]:
    """Yield what `upgrade` does that an older server could not live with."""
    (upgrade,) = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
    for node in ast.walk(upgrade):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and BREAKING_SQL.search(node.value):
            yield node.value
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in BREAKING:
                yield node.func.attr
            source = ast.unparse(node)
            if node.func.attr == "add_column" and "nullable=False" in source and "server_default=" not in source:
                yield source


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_migrations_only_add(path: Path) -> None:
    assert list(breaking_changes(path.read_text(encoding="utf-8"))) == []


def test_breaking_changes_are_found() -> None:
    code = 'def upgrade():\n    op.drop_column("a", "b")\n    op.execute("alter table a rename to b")\n'
    assert len(list(breaking_changes(code + '    op.add_column("a", Column("c", Text, nullable=False))\n'))) == 3
