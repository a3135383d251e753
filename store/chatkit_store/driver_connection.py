"""Run the store's statements on a sqlite3 connection, without SQLAlchemy's work for each execution."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NoReturn, cast

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from chatkit_store.prepared import NotPrepared, is_watched, prepare

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
    """What short writes and the journal use of SQLAlchemy's `Connection`, for less than half of its CPU: it compiles
    statements once.

    Anything else raises `NotPrepared`.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        """The user of `driver` begins and ends transactions."""
        self._driver = driver

    def execute(self, statement: Any, values: dict[str, Any] | Sequence[dict[str, Any]]) -> Rows:
        """Run the statement and return its rows; with many sets of parameters, once for each, and return none."""
        if isinstance(values, dict):
            return self._fetch(statement, values)
        prepared = prepare(statement, tuple(values[0]), _DIALECT)
        self._driver.executemany(prepared.sql, [prepared.arguments(one_set) for one_set in values])
        return Rows()

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
        cursor = self._driver.execute(prepared.sql, prepared.arguments(values))
        return Rows(map(prepared.to_row, cursor.fetchall()))  # all: the COMMIT would meet an open statement


def on_driver(connection: Connection) -> Connection:
    """Return what runs statements in the transaction of a connection to a SQLite file for less CPU.

    Return the connection itself on other databases, and where a tool listens to SQLAlchemy.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection) or is_watched(connection.engine):
        return connection
    return cast(Connection, DriverConnection(driver))
