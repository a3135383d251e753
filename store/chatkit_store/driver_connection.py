"""Run the store's statements on a sqlite3 connection, without SQLAlchemy's work for each execution."""

import sqlite3
from collections.abc import Callable
from typing import Any, NoReturn

from sqlalchemy.dialects import sqlite

from chatkit_store.prepared import NotPrepared, prepare

_DIALECT = sqlite.dialect()


class Rows(list[Any]):
    """The rows, or first columns, that a statement returned, with the methods of SQLAlchemy's results that we use."""

    def all(self) -> "Rows":
        """Return the rows."""
        return self

    def one_or_none(self) -> Any:
        """Return the row, or None if there is none."""
        if len(self) > 1:
            raise NotPrepared("more than one row")
        return self[0] if self else None


class DriverConnection:
    """What short writes use of SQLAlchemy's `Connection`, for less than half of its CPU: it compiles statements once.

    Each runs with one set of parameters. Anything else raises `NotPrepared`.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        """`driver` is in autocommit mode: its user begins and ends transactions."""
        self._run = driver.execute

    def execute(self, statement: Any, values: dict[str, Any]) -> Rows:
        """Run the statement and return its rows."""
        rows, make = self._fetch(statement, values)
        return Rows(map(make, rows))

    def scalar(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run the statement and return the first column of its first row, or None if there is none."""
        rows, _ = self._fetch(statement, values)
        return rows[0][0] if rows else None

    def scalars(self, statement: Any, values: dict[str, Any]) -> Rows:
        """Run the statement and return the first column of each row."""
        rows, _ = self._fetch(statement, values)
        return Rows(row[0] for row in rows)

    def __getattr__(self, name: str) -> NoReturn:
        raise NotPrepared(name)

    def _fetch(self, statement: Any, values: dict[str, Any]) -> tuple[list[Any], Callable[[Any], Any]]:
        if not isinstance(values, dict):
            raise NotPrepared("many sets of parameters")
        prepared = prepare(statement, tuple(values), _DIALECT)
        cursor = self._run(prepared.sql, prepared.arguments(values))
        return cursor.fetchall(), prepared.to_row  # to the end: a statement that is not would be open at the COMMIT
