"""Query the database as an administrator."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chatkit_store.acting import ALL_USERS, act_for, is_guarded


async def see_all(connection: AsyncConnection) -> None:
    """See the rows of all users, also with row-level security."""
    if is_guarded(connection.engine):
        await connection.run_sync(act_for, ALL_USERS)


async def select(engine: AsyncEngine, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return rows."""
    async with engine.connect() as connection:
        await see_all(connection)
        return [tuple(row) for row in await connection.execute(text(statement), values)]


async def execute(engine: AsyncEngine, statement: str, **values: Any) -> None:
    """Run a statement that changes rows."""
    async with engine.begin() as connection:
        await see_all(connection)
        await connection.execute(text(statement), values)
