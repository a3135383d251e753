"""Run Alembic on a given connection (`chatkit_store.migrations`) or by URL (the command line)."""

import asyncio
import logging
import os
from typing import Any, Literal

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from chatkit_store.columns import CleanText, JsonText, UtcDateTime
from chatkit_store.engine import open_engine
from chatkit_store.migrations import VERSION_TABLE, lock_schema, rename_version_table
from chatkit_store.sessions import quoted
from chatkit_store.tables import metadata
from chatkit_store.urls import InvalidUrl, normalise_url

DEFAULT_URL = "sqlite:///chatkit.db"  # the same as in chatkit_server/settings/serving.py


def find_url() -> str:
    """Return the URL from `-x url=`, alembic.ini or CHATKIT_DATABASE_URL, in this order, else the server's default."""
    url = context.get_x_argument(as_dictionary=True).get("url") or context.config.get_main_option("sqlalchemy.url")
    return url or os.environ.get("CHATKIT_DATABASE_URL") or DEFAULT_URL


def render_item(kind: str, item: Any, autogen_context: object) -> str | Literal[False]:
    """Return the code of one of our column types for a generated revision, or False for anything else.

    A revision names SQLAlchemy's types, so that a later change of ours does not change what it creates.
    """
    match item:
        case CleanText():
            return "sa.Text()"
        case JsonText():
            return "sa.JSON()"
        case UtcDateTime():
            return "sa.DateTime(timezone=True)"
        case _:
            return False


def find_schema() -> str | None:
    """Return the schema on PostgreSQL from `-x schema=` or CHATKIT_DATABASE_SCHEMA, or None."""
    name = context.get_x_argument(as_dictionary=True).get("schema") or os.environ.get("CHATKIT_DATABASE_SCHEMA")
    return name or None


def run(connection: Connection) -> None:
    """Run the command in one transaction, while no other migration runs."""
    with lock_schema(connection):
        rename_version_table(connection)
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_item=render_item,
            version_table=VERSION_TABLE,
        )
        context.run_migrations()


async def run_by_url() -> None:
    """Open the database for this command only."""
    try:
        engine = open_engine(find_url(), schema=find_schema())
    except InvalidUrl as error:
        raise CommandError(f"The URL of the database {error}") from None
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


def print_sql() -> None:
    """Print the SQL for `alembic upgrade head --sql`."""
    context.configure(
        url=normalise_url(find_url()), target_metadata=metadata, literal_binds=True, version_table=VERSION_TABLE
    )
    with context.begin_transaction():
        if (schema := find_schema()) is not None:
            context.execute(f"SET LOCAL search_path = {quoted(schema)}")
        context.run_migrations()


if context.config.cmd_opts is not None:  # only the command line sets up logging
    logging.basicConfig(level=logging.INFO, format="%(message)s")

if context.is_offline_mode():
    print_sql()
elif given_connection := context.config.attributes.get("connection"):
    run(given_connection)
else:
    asyncio.run(run_by_url())
