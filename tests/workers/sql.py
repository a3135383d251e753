"""The database as an administrator sees it."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


async def select(engine: AsyncEngine, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Rows."""
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(statement), values)]


async def execute(engine: AsyncEngine, statement: str, **values: Any) -> None:
    """A change by hand."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)
