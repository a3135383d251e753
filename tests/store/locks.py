"""Wait until other connections to PostgreSQL wait for locks."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def waiting_for_locks(engine: AsyncEngine, count: int = 1) -> None:
    """Return once `count` other connections wait for locks in the test's database."""
    async with asyncio.timeout(10), engine.connect() as connection:
        while await connection.scalar(_WAITING) < count:
            await connection.rollback()
            await asyncio.sleep(0.01)
