"""Create the whole schema at once, for scripts and tests, and for an empty database, which needs no Alembic then.

The schema of a database that has tables is migrated (`migrations`).
"""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.errors import translate_errors
from chatkit_store.history_versions import triggers
from chatkit_store.migrations import lock_schema, rename_version_table, stamp
from chatkit_store.tables import metadata

VIEWS = {
    "messages": """
SELECT i.thread_id, i.position, i.id AS item_id, i.turn_id, t.user_id, t.tenant, i.role, i.text, i.created_at
FROM thread_items i JOIN threads t ON t.id = i.thread_id
WHERE i.type IN ('user_message', 'assistant_message') AND NOT i.hidden AND i.replaced_by IS NULL
ORDER BY t.position, i.position
""",
    "thread_overview": """
SELECT t.id AS thread_id, t.user_id, t.tenant, t.title, t.status, t.created_at, t.updated_at,
  (SELECT count(*) FROM thread_items i WHERE i.thread_id = t.id AND NOT i.hidden AND i.replaced_by IS NULL
    AND i.type IN ('user_message', 'assistant_message')) AS messages,
  (SELECT count(*) FROM turns n WHERE n.thread_id = t.id) AS turns,
  (SELECT i.text FROM thread_items i WHERE i.thread_id = t.id AND NOT i.hidden AND i.replaced_by IS NULL
    AND i.type IN ('user_message', 'assistant_message') ORDER BY i.position DESC LIMIT 1) AS last_message,
  (SELECT i.created_at FROM thread_items i WHERE i.thread_id = t.id AND NOT i.hidden AND i.replaced_by IS NULL
    AND i.type IN ('user_message', 'assistant_message') ORDER BY i.position DESC LIMIT 1) AS last_message_at,
  (SELECT n.status FROM turns n WHERE n.thread_id = t.id ORDER BY n.started_at DESC, n.id DESC LIMIT 1)
    AS last_turn_status
FROM threads t
""",
    "turn_stats": """
SELECT n.id AS turn_id, n.thread_id, n.user_id, n.tenant, n.kind, n.model, n.status, n.stop_reason, n.error_code,
  n.started_at, n.duration_ms, n.first_token_ms, n.input_tokens, n.output_tokens, n.tokens_per_second, n.retries,
  n.readers, n.session_id
FROM turns n
""",
}
"""Views for people who query the database. Nothing in the code reads them."""


async def create_schema(engine: AsyncEngine) -> None:
    """Create missing tables, indexes, views and triggers, and stamp the newest revision: no migration is pending."""
    with translate_errors():
        async with engine.connect() as connection:
            await connection.run_sync(_create)


async def create_if_empty(engine: AsyncEngine) -> bool:
    """Create the schema if the database has no table at all, and return whether that was so.

    Any number of workers may call it at once.
    """
    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(_create_if_empty)


def _create(connection: Connection) -> None:
    with lock_schema(connection):
        _create_all(connection)


def _create_if_empty(connection: Connection) -> bool:
    with lock_schema(connection):
        is_empty = not inspect(connection).get_table_names()
        if is_empty:
            _create_all(connection)
        return is_empty


def _create_all(connection: Connection) -> None:
    rename_version_table(connection)
    metadata.create_all(connection)
    _create_views(connection)
    _create_triggers(connection)
    stamp(connection)


def _create_views(connection: Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    for name, query in VIEWS.items():
        if is_sqlite:
            connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
        verb = "CREATE VIEW" if is_sqlite else "CREATE OR REPLACE VIEW"
        connection.execute(text(f"{verb} {name} AS {query.strip()}"))


def _create_triggers(connection: Connection) -> None:
    """Number the versions of histories, and let SQLite delete what depends on a row also where `PRAGMA foreign_keys` is
    off, as in its command-line tool."""
    for statement in triggers(connection.dialect.name):
        connection.execute(text(statement))
    if connection.dialect.name != "sqlite":
        return
    deletions: dict[str, list[str]] = {}
    for table in metadata.tables.values():
        for key in sorted(table.foreign_keys, key=lambda key: str(key.parent.name)):
            deletion = f"DELETE FROM {table.name} WHERE {key.parent.name} = OLD.{key.column.name};"
            deletions.setdefault(key.column.table.name, []).append(deletion)
    for name, statements in deletions.items():
        trigger = f"CREATE TRIGGER IF NOT EXISTS delete_with_{name} AFTER DELETE ON {name}"
        connection.execute(text(f"{trigger} BEGIN {' '.join(statements)} END"))
