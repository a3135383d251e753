"""Count what a store call sends to its database: messages to PostgreSQL, calls of a SQLite file's threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.sqlite_threads import SqliteThreads

REQUESTS = frozenset({"query", "prepare", "bind", "execute", "bind_execute", "bind_execute_many", "close_statement"})
"""What asyncpg (0.32) sends and waits for."""


@contextmanager
def round_trips(engine: AsyncEngine) -> Iterator[list[str]]:
    """Yield a list to which each round trip is added: to PostgreSQL its kind, BEGIN and COMMIT included; of SQLite,
    whether the call writes."""
    counted: list[str] = []
    with _messages(engine, counted) if engine.dialect.name == "postgresql" else _calls(counted):
        yield counted


class Watched:
    """The protocol of an asyncpg connection, which notes what is sent."""

    def __init__(self, protocol: Any, counted: list[str]) -> None:
        self.protocol, self.counted = protocol, counted

    def __getattr__(self, name: str) -> Any:
        if name in REQUESTS:
            self.counted.append(name)
        return getattr(self.protocol, name)


@contextmanager
def _messages(engine: AsyncEngine, counted: list[str]) -> Iterator[None]:
    drivers: list[Any] = []

    def watch(_: object, record: Any, __: object) -> None:
        driver = record.driver_connection
        if not isinstance(driver._protocol, Watched):
            drivers.append(driver)
            driver._protocol = Watched(driver._protocol, counted)

    event.listen(engine.sync_engine.pool, "checkout", watch)
    try:
        yield
    finally:
        event.remove(engine.sync_engine.pool, "checkout", watch)
        for driver in drivers:
            driver._protocol = driver._protocol.protocol


@contextmanager
def _calls(counted: list[str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("read", "write"):
            original = getattr(SqliteThreads, name)

            def call(self: Any, *arguments: Any, name: str = name, original: Any = original, **options: Any) -> Any:
                counted.append(name)
                return original(self, *arguments, **options)

            patch.setattr(SqliteThreads, name, call)
        yield
