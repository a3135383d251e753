"""Prepare the database's tables before the server starts."""

from typing import Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.migrations import pending, upgrade

from ..errors.setup import SetupError


async def prepare_schema(engine: AsyncEngine, environment: Literal["development", "production"]) -> None:
    """Migrate in development. In production, raise `SetupError` with the command to run: a person decides when."""
    missing = await pending(engine)
    if missing and environment == "production":
        raise SetupError(
            f"The database lacks {len(missing)} migration(s). Run `chatkit-server migrate`, then start again."
        )
    if missing:
        await upgrade(engine)
