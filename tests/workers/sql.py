"""Query the database as an administrator."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.databases import see_all


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
