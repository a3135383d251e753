"""Stores on every database, and a thread of Alice in them."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import HeartbeatStore, JournalStore, SqlStore, TurnStore, UploadStore
from tests.databases import see_all
from tests.store.factories import ALICE, User, make_thread

Query = Callable[..., Awaitable[list[Row[*tuple[Any, ...]]]]]


T = TypeVar("T")


def fixture_of(store_type: Callable[[AsyncEngine], T]) -> Callable[[AsyncEngine], T]:
    """Return a fixture that makes a store on the test's database."""

    @pytest.fixture
    def make(engine: AsyncEngine) -> T:
        return store_type(engine)

    return make


store = fixture_of(SqlStore[User])
turns = fixture_of(TurnStore)
uploads = fixture_of(UploadStore)
journal = fixture_of(JournalStore)
heartbeats = fixture_of(HeartbeatStore)


@pytest.fixture
async def thread(store: SqlStore[User]) -> ThreadMetadata:
    """A saved thread of Alice."""
    thread = make_thread()
    await store.save_thread(thread, ALICE)
    return thread


@pytest.fixture
def sql(engine: AsyncEngine) -> Query:
    """Run SQL as an administrator would; changes are committed."""

    async def run(statement: str, **values: Any) -> list[Row[*tuple[Any, ...]]]:
        async with engine.begin() as connection:
            await see_all(connection)
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    return run
