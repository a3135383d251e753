"""Explain every statement that a store runs, and count what SQLite does for it."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

STEP = 100
_NOT_EXPLAINED = re.compile(r"\s*(BEGIN|SET|PRAGMA|EXPLAIN|ANALYZE)\b", re.I)


@dataclass
class Execution:
    """An executed statement: the call that ran it, its plan, the rows that PostgreSQL visited, and SQLite's work."""

    call: str
    statement: str
    plan: list[str] = field(default_factory=list)
    rows: int = 0
    instructions: int = 0

    def __str__(self) -> str:
        figures = f"{self.rows} rows, {self.instructions} instructions"
        return "\n".join((f"{self.call}: {figures}", self.statement, *(f"    {line}" for line in self.plan)))


class Explainer:
    """Explains each statement just before it runs, while `call` names the call to which it belongs."""

    def __init__(self) -> None:
        self.call = ""
        self.executions: list[Execution] = []
        self.calls: set[str] = set()
        """The calls seen."""
        self.executed: set[int] = set()
        """Ids of the SQLAlchemy objects that were executed."""
        self._is_explaining = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to every engine: for a SQLite file, the store opens one of its own."""
        hooks: dict[str, Callable[..., None]] = {"before_execute": self._note, "before_cursor_execute": self._explain}
        for name, hook in hooks.items():
            event.listen(Engine, name, hook)
        try:
            yield
        finally:
            for name, hook in hooks.items():
                event.remove(Engine, name, hook)

    def _note(self, _: Connection, statement: Any, *__: object) -> None:
        self.executed.add(id(statement))

    def _explain(
        self, connection: Connection, _: object, statement: str, parameters: Any, __: object, is_many: bool
    ) -> None:
        if self._is_explaining or not self.call or _NOT_EXPLAINED.match(statement):
            return
        execution = Execution(self.call, statement)
        self._is_explaining = True
        try:
            # An INSERT of many rows comes as one statement with the parameters of all.
            has_rows = is_many and isinstance(parameters[0], tuple | list | dict)
            self._add_plan(execution, connection, parameters[0] if has_rows else parameters)
        finally:
            self._is_explaining = False
        self.executions.append(execution)

    def _add_plan(self, execution: Execution, connection: Connection, parameters: Any) -> None:
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):  # of a store; the engine's own connections are aiosqlite's
            driver.set_progress_handler(self._count, STEP)
            rows = driver.execute(f"EXPLAIN QUERY PLAN {execution.statement}", parameters)
            execution.plan = [row[3] for row in rows]
            return
        with suppress(DBAPIError), _rolled_back(connection):  # an error is the store's business, when it runs this
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {execution.statement}", parameters)
            (tree,) = _json(plan.scalar_one())
            execution.plan = list(_lines(tree["Plan"]))
            execution.rows = int(_visited(tree["Plan"]))

    def _count(self) -> int:
        if self.executions and not self._is_explaining:
            self.executions[-1].instructions += STEP
        return 0


@contextmanager
def _rolled_back(connection: Connection) -> Iterator[None]:
    """Undo what a statement that changes rows does while it is explained. A read runs outside of a transaction."""
    is_read = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    if is_read:
        yield
        return
    connection.exec_driver_sql("SAVEPOINT explained")
    try:
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT explained")


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _visited(node: dict[str, Any]) -> float:
    """Return how many rows the nodes of PostgreSQL's plan read, dropped and returned."""
    counts = (value for name, value in node.items() if name == "Actual Rows" or name.startswith("Rows Removed"))
    below = sum(_visited(child) for child in node.get("Plans", ()))
    return float(sum(counts) * node["Actual Loops"] + below)


def _lines(node: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Return a line per node of PostgreSQL's plan, in the words of SQLite's where a test looks for them."""
    names = (node.get("Relation Name"), node.get("Index Name"), node.get("CTE Name"))
    conditions = (node.get("Index Cond"), node.get("Filter"))
    words = (node["Node Type"], *names, *conditions, f"rows={node['Actual Rows']} loops={node['Actual Loops']}")
    yield "  " * depth + " ".join(str(word) for word in words if word)
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)
