"""A store on every database, and a thread of Alice's in it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import HeartbeatStore, JournalStore, SqlStore, TurnStore, UploadStore
from tests.store.factories import ALICE, User, make_thread

Query = Callable[..., Awaitable[list[Row[*tuple[Any, ...]]]]]


@pytest.fixture
def store(engine: AsyncEngine) -> SqlStore[User]:
    """The store on a fresh database."""
    return SqlStore(engine)


@pytest.fixture
def turns(engine: AsyncEngine) -> TurnStore:
    """The turns in the same database."""
    return TurnStore(engine)


@pytest.fixture
def uploads(engine: AsyncEngine) -> UploadStore:
    """The uploads in the same database."""
    return UploadStore(engine)


@pytest.fixture
def journal(engine: AsyncEngine) -> JournalStore:
    """The journal of those turns."""
    return JournalStore(engine)


@pytest.fixture
def heartbeats(engine: AsyncEngine) -> HeartbeatStore:
    """The workers that serve the same database."""
    return HeartbeatStore(engine)


@pytest.fixture
async def thread(store: SqlStore[User]) -> ThreadMetadata:
    """A thread of Alice's, saved."""
    thread = make_thread()
    await store.save_thread(thread, ALICE)
    return thread


@pytest.fixture
def sql(engine: AsyncEngine) -> Query:
    """Plain SQL, as an administrator would type it; changes are committed."""

    async def run(statement: str, **values: Any) -> list[Row[*tuple[Any, ...]]]:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    return run
