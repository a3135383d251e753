"""Let a deletion by hand on SQLite leave nothing behind: without `PRAGMA foreign_keys`, no key deletes what depends."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DEPENDENTS = {
    "threads": [
        ("thread_items", "thread_id"),
        ("sync_actions", "thread_id"),
        ("paused_runs", "thread_id"),
        ("approvals", "thread_id"),
        ("turns", "thread_id"),
        ("attachments", "thread_id"),
        ("feedback", "thread_id"),
    ],
    "thread_items": [("widget_actions", "item_id"), ("feedback", "item_id")],
    "paused_runs": [("approvals", "run_id")],
    "turns": [("turn_events", "turn_id")],
}
"""The tables whose rows are deleted with a row of another one, and the column that names it."""


def upgrade() -> None:
    """Delete what earlier deletions left behind, and create a trigger for each table that others depend on."""
    if op.get_context().dialect.name != "sqlite":
        return
    for table, dependents in DEPENDENTS.items():
        for name, column in dependents:
            op.execute(f"DELETE FROM {name} WHERE {column} NOT IN (SELECT id FROM {table})")
        deletions = " ".join(f"DELETE FROM {name} WHERE {column} = OLD.id;" for name, column in dependents)
        op.execute(f"CREATE TRIGGER delete_with_{table} AFTER DELETE ON {table} BEGIN {deletions} END")


def downgrade() -> None:
    """Drop the triggers."""
    if op.get_context().dialect.name == "sqlite":
        for table in DEPENDENTS:
            op.execute(f"DROP TRIGGER delete_with_{table}")
