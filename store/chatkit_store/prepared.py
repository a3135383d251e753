"""Compile statements once, to run them on the driver of a database without SQLAlchemy's work for each execution."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Engine

Process = Callable[[Any], Any] | None

_EVENTS = ("before_execute", "before_cursor_execute", "after_cursor_execute", "after_execute")


class NotPrepared(Exception):
    """SQLAlchemy has to run the statement."""


class Prepared(NamedTuple):
    """A statement as its driver gets it."""

    sql: str
    parameters: list[tuple[str, Process]]
    """In order; with each, what converts its value."""
    constants: dict[str, Any]
    """The values of parameters that belong to the statement."""
    to_row: Callable[[Any], Any]
    """Makes a row with the names of its columns, and converted values, of what the driver returned."""

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values of the parameters for the driver."""
        if self.constants:
            values = {**self.constants, **values}
        return [values[name] if process is None else process(values[name]) for name, process in self.parameters]


@lru_cache(maxsize=64)  # nearly all statements are constants of their modules
def prepare(statement: Any, names: tuple[str, ...], dialect: Dialect) -> Prepared:
    """Return the statement for executions with one value for each of these names. Raises `NotPrepared`."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    order, binds = compiled.positiontup, compiled.binds
    is_open = compiled.post_compile_params or compiled.literal_execute_params or compiled.prefetch
    if is_open or any(binds[name].callable for name in order):
        raise NotPrepared("parameters that are known only when it runs")
    columns = statement.column_descriptions if statement.is_select else statement.returning_column_descriptions
    parameters = [(name, binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in order]
    constants = {name: binds[name].value for name in order if not binds[name].required and name not in names}
    row: Any = namedtuple("Row", [column["name"] for column in columns])  # type: ignore[misc]  # not literals
    converters = [column["type"].dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return Prepared(compiled.string, parameters, constants, _converting(row._make, converters))


def _converting(make: Callable[[Any], Any], converters: list[Process]) -> Callable[[Any], Any]:
    if not any(converters):
        return make
    return lambda row: make(
        value if convert is None else convert(value) for value, convert in zip(row, converters, strict=True)
    )


def is_watched(engine: Engine) -> bool:
    """Return whether anything listens to the engine's statements, as monitoring tools do: it shall see all."""
    dispatch = engine.dispatch
    for name in _EVENTS:  # not `any`: its generator takes longer than the rest
        if getattr(dispatch, name, True):
            return True
    return False
