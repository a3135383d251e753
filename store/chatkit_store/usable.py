"""Whether a migrated database can be written by this role. Changes nothing."""

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.errors import translate_errors
from chatkit_store.tables import metadata

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")


async def unwritable(engine: AsyncEngine) -> str | None:
    """Return why nothing can be written, as the end of a sentence about the database; or None.

    Begins to write and gives it up. Raises `StoreError`, such as for a file that cannot be written.
    """
    with translate_errors():
        async with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                await connection.rollback()
                return None
            return await connection.run_sync(_postgresql_obstacle)


def _postgresql_obstacle(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT pg_is_in_recovery()")):
        return "is a replica, which only reads: name the primary in CHATKIT_DATABASE_URL"
    if connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
        return "is read-only (default_transaction_read_only): let this role write, or name another"
    may = text("SELECT has_table_privilege(to_regclass(:table), :privilege)")
    for table in sorted(metadata.tables):
        lacking = [
            privilege
            for privilege in PRIVILEGES
            if connection.scalar(may, {"table": f'"{table}"', "privilege": privilege}) is False
        ]
        if lacking:
            role = connection.scalar(text("SELECT current_user"))
            verbs = ", ".join(lacking)
            return f"does not let the role {role} {verbs} in the table {table}: GRANT {verbs} ON {table} TO {role}"
    return None
