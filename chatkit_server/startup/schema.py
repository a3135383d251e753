"""Open the database, and prepare its tables before the server starts."""

from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import open_engine, row_security
from chatkit_store.migrations import pending, schema_problem, upgrade
from chatkit_store.schema import create_if_empty

from ..errors.setup import SetupError
from ..settings import Settings


def open_database(settings: Settings) -> AsyncEngine:
    """Return an engine for the database of the settings. Raises `SetupError` if it cannot do what they demand."""
    if settings.row_security and settings.database_url.startswith("sqlite"):
        raise SetupError(
            "SQLite has no row-level security. Set CHATKIT_DATABASE_URL to a PostgreSQL database, or remove "
            "CHATKIT_ROW_SECURITY."
        )
    if settings.database_schema and settings.database_url.startswith("sqlite"):
        raise SetupError(
            "SQLite has no schemas. Set CHATKIT_DATABASE_URL to a PostgreSQL database, or remove "
            "CHATKIT_DATABASE_SCHEMA."
        )
    return open_engine(settings.database_url, row_security=settings.row_security, schema=settings.database_schema)


async def prepare_schema(engine: AsyncEngine, settings: Settings) -> None:
    """Migrate in development. In production, raise `SetupError` with the command to run: a person decides when.

    Raises `SetupError`, too, if somebody has dropped a table, and if row-level security is not in force as the settings
    say.
    """
    missing = await pending(engine)
    if missing and settings.environment == "production":
        raise SetupError(
            f"The database lacks {len(missing)} migration(s). Run `chatkit-server migrate`, then start again."
        )
    if missing:
        await _apply(engine, missing)
    if (problem := await schema_problem(engine)) is not None:
        raise SetupError(problem)
    if settings.row_security and settings.environment == "development":
        await row_security.protect(engine)
    if (problem := await row_security_problem(engine, settings)) is not None:
        raise SetupError(problem)


async def migrate_database(engine: AsyncEngine, settings: Settings) -> list[str]:
    """Apply pending migrations, and create or remove row-level security; return a sentence about each change."""
    missing = await pending(engine)
    applied = await _apply(engine, missing) if missing else []
    sentences = [f"Applied {len(applied)} migration(s)." if applied else "The database is up to date."]
    if engine.dialect.name != "postgresql":
        return sentences
    if not settings.row_security:
        if tables := await row_security.unprotect(engine):
            sentences.append(f"Removed row-level security from {len(tables)} tables.")
        return sentences
    if tables := await row_security.protect(engine):
        sentences.append(f"Added row-level security to {len(tables)} table(s) and view(s).")
    return sentences


async def _apply(engine: AsyncEngine, missing: list[str]) -> list[str]:
    """Apply these migrations, all at once to an empty database. Return those that no other worker has applied."""
    return missing if await create_if_empty(engine) else await upgrade(engine)


async def row_security_problem(engine: AsyncEngine, settings: Settings) -> str | None:
    """Return what is wrong with row-level security and what to do, or None. The database has no pending migrations."""
    if engine.dialect.name != "postgresql":
        return None
    if not settings.row_security:
        if not await row_security.protected(engine):
            return None
        return (
            "The database has row-level security, so a server without it sees no rows. Set CHATKIT_ROW_SECURITY=true, "
            "or run `chatkit-server migrate` to remove it."
        )
    role = await row_security.role_of(engine)
    if role.is_exempt:
        return (
            f"The database role {role.name} is a superuser or has BYPASSRLS, so row-level security does not apply to "
            "it. Use another role in CHATKIT_DATABASE_URL, or remove CHATKIT_ROW_SECURITY."
        )
    if tables := await row_security.unprotected(engine):
        lacking = f"{len(tables)} table(s) and view(s) lack row-level security."
        return f"{lacking} Run `chatkit-server migrate`, then start again."
    return None
