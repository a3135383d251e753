"""Run the store's statements on a sqlite3 connection, without SQLAlchemy's work for each execution."""

import sqlite3
from typing import Any, NoReturn

from sqlalchemy.dialects import sqlite

from chatkit_store.prepared import NotPrepared, prepare

_DIALECT = sqlite.dialect()


class Rows(list[Any]):
    """The rows, or first columns, that a statement returned, with the methods of SQLAlchemy's results that we use."""

    def all(self) -> "Rows":
        """Return the rows."""
        return self

    def one(self) -> Any:
        """Return the row."""
        if len(self) != 1:
            raise NotPrepared("not one row")
        return self[0]

    def one_or_none(self) -> Any:
        """Return the row, or None if there is none."""
        return self.one() if self else None


class DriverConnection:
    """What short writes use of SQLAlchemy's `Connection`, for less than half of its CPU: it compiles statements once.

    Each runs with one set of parameters. Anything else raises `NotPrepared`.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        """`driver` is in autocommit mode: its user begins and ends transactions."""
        self._run = driver.execute

    def execute(self, statement: Any, values: dict[str, Any]) -> Rows:
        """Run the statement and return its rows."""
        return self._fetch(statement, values)

    def scalar(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run the statement and return the first column of its first row, or None if there is none."""
        rows = self._fetch(statement, values)
        return rows[0][0] if rows else None

    def scalars(self, statement: Any, values: dict[str, Any]) -> Rows:
        """Run the statement and return the first column of each row."""
        return Rows(row[0] for row in self._fetch(statement, values))

    def get_execution_options(self) -> dict[str, Any]:
        """Return that there are none."""
        return {}

    def __getattr__(self, name: str) -> NoReturn:
        raise NotPrepared(name)

    def _fetch(self, statement: Any, values: dict[str, Any]) -> Rows:
        if not isinstance(values, dict):
            raise NotPrepared("many sets of parameters")
        prepared = prepare(statement, tuple(values), _DIALECT)
        cursor = self._run(prepared.sql, prepared.arguments(values))
        return Rows(map(prepared.to_row, cursor.fetchall()))  # all: the COMMIT would meet an open statement
