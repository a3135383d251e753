"""The whole schema at once, for scripts and tests. A server migrates instead (`chatkit_store.migrations`)."""

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.errors import translate_errors
from chatkit_store.migrations import lock_schema, stamp
from chatkit_store.tables import metadata
from chatkit_store.views import create_views


async def create_schema(engine: AsyncEngine) -> None:
    """Create the tables, indexes and views that are missing, and note the newest revision: nothing is pending then."""
    with translate_errors():
        async with engine.connect() as connection:
            await connection.run_sync(_create)


def _create(connection: Connection) -> None:
    with lock_schema(connection):
        metadata.create_all(connection)
        create_views(connection)
        stamp(connection)
