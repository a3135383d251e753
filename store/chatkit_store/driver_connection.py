"""Run the store's statements on a sqlite3 connection, without SQLAlchemy's work for each execution."""

import sqlite3
from collections import namedtuple
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

from sqlalchemy.dialects import sqlite

_DIALECT = sqlite.dialect()

Process = Callable[[Any], Any] | None


class NotPrepared(Exception):
    """The statement, or the method, is none that a `DriverConnection` has."""


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

    Statements are changes with one set of parameters. Anything else raises `NotPrepared`.
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
        sql, parameters, constants, make = _prepared(statement, tuple(values))
        if constants:
            values = constants | values
        values_in_order = [values[name] if process is None else process(values[name]) for name, process in parameters]
        cursor = self._run(sql, values_in_order)
        return cursor.fetchall(), make  # to the end: a statement that is not would be open at the COMMIT


@lru_cache(maxsize=64)  # statements are constants of their modules, except for a few
def _prepared(
    statement: Any, names: tuple[str, ...]
) -> tuple[str, list[tuple[str, Process]], dict[str, Any], Callable[[Any], Any]]:
    """Return the SQL of a statement that is run with parameters of these names.

    With it, the parameters in order, each with what converts its value; those that are constants of the statement; and
    what makes a row of a tuple.
    """
    if not (statement.is_insert or statement.is_update or statement.is_delete):
        raise NotPrepared("not a change")
    compiled = statement.compile(dialect=_DIALECT, column_keys=list(names))
    order, binds = compiled.positiontup, compiled.binds
    is_open = compiled.post_compile_params or compiled.literal_execute_params or compiled.prefetch
    if is_open or any(binds[name].callable for name in order):
        raise NotPrepared("parameters that are known only when it runs")
    columns = statement.returning_column_descriptions
    if any(column["type"].dialect_impl(_DIALECT).result_processor(_DIALECT, None) for column in columns):
        raise NotPrepared("results that are not as SQLite returns them")
    parameters = [(name, binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT)) for name in order]
    constants = {name: binds[name].value for name in order if not binds[name].required and name not in names}
    row: Any = namedtuple("Row", [column["name"] for column in columns])  # type: ignore[misc]  # not literals
    return compiled.string, parameters, constants, row._make
