"""Count the statements that the stores on one engine run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.database import _shared_by
from chatkit_store.engine import is_memory


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[list[str]]:
    """Yield a list to which each statement is added that a store on the engine runs inside the block."""
    statements: list[str] = []
    is_file = engine.dialect.name == "sqlite" and not is_memory(engine.url)
    of_stores = _shared_by(engine).sqlite_threads()._engine if is_file else engine.sync_engine

    def note(connection: Connection, _: object, statement: str, *__: Any) -> None:
        if connection.engine.pool is of_stores.pool:  # an engine with other options has the same pool
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
