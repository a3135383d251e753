"""Views for people with SQL. Nothing in the code reads them."""

from sqlalchemy import Connection, text

VIEWS = {
    "messages": """
SELECT i.thread_id, i.position, i.id AS item_id, i.turn_id, t.user_id, i.role, i.text, i.created_at
FROM thread_items i JOIN threads t ON t.id = i.thread_id
WHERE i.type IN ('user_message', 'assistant_message') AND NOT i.hidden AND i.replaced_by IS NULL
ORDER BY t.position, i.position
""",
    "thread_overview": """
SELECT t.id AS thread_id, t.user_id, t.title, t.status, t.created_at, t.updated_at,
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
SELECT n.id AS turn_id, n.thread_id, n.user_id, n.kind, n.model, n.status, n.stop_reason, n.error_code, n.started_at,
  n.duration_ms, n.first_token_ms, n.input_tokens, n.output_tokens, n.tokens_per_second, n.retries, n.readers
FROM turns n
""",
}


def create_views(connection: Connection) -> None:
    """Make or renew every view."""
    for name, query in VIEWS.items():
        if connection.dialect.name == "sqlite":
            connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
        verb = "CREATE VIEW" if connection.dialect.name == "sqlite" else "CREATE OR REPLACE VIEW"
        connection.execute(text(f"{verb} {name} AS {query.strip()}"))
