"""Support several workers: a turn's worker and signal, one running turn per thread, and more statistics."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
RUNNING = sa.text("status = 'running'")
NEW: dict[str, sa.types.TypeEngine[Any]] = {
    "tokens_per_second": sa.Float(),
    "retries": sa.Integer(),
    "worker_id": sa.Text(),
    "signal": sa.Text(),
    "request_key": sa.Text(),
}
COMMENTS = {
    "retries": "Requests to the model that were repeated",
    "worker_id": "Who runs it, or closed it after a crash",
    "signal": "What another worker wants of the one that runs it",
    "request_key": "Fingerprint of the request: a second one with it joins the turn",
}
OPEN = "Still being written by its turn"
READERS = "Connections that read it"
PROCESS = "Its number and start, which tell it from a later process"
RATE = """
UPDATE turns SET tokens_per_second = round(output_tokens * 1000.0 / (duration_ms - coalesce(first_token_ms, 0)), 1)
WHERE duration_ms > coalesce(first_token_ms, 0)
"""
STATS = """
SELECT n.id AS turn_id, n.thread_id, n.user_id, n.kind, n.model, n.status, n.stop_reason, n.error_code, n.started_at,
  n.duration_ms, n.first_token_ms, n.input_tokens, n.output_tokens, n.tokens_per_second, n.retries, n.readers
FROM turns n
"""
OLD_STATS = """
SELECT n.id AS turn_id, n.thread_id, n.user_id, n.kind, n.model, n.status, n.error_code, n.started_at,
  n.duration_ms, n.first_token_ms, n.input_tokens, n.output_tokens,
  CASE WHEN n.duration_ms > coalesce(n.first_token_ms, 0)
    THEN round(n.output_tokens * 1000.0 / (n.duration_ms - coalesce(n.first_token_ms, 0)), 1) END AS tokens_per_second
FROM turns n
"""


def upgrade() -> None:
    """Add the columns. Turns that an older version left running are closed as interrupted."""
    create_workers()
    op.add_column(
        "thread_items", sa.Column("open", sa.Boolean(), nullable=False, server_default=sa.false(), comment=OPEN)
    )
    op.execute("UPDATE turns SET status = 'interrupted', stop_reason = 'crash' WHERE status = 'running'")
    for name, kind in NEW.items():
        op.add_column("turns", sa.Column(name, kind, comment=COMMENTS.get(name)))
    op.add_column("turns", sa.Column("readers", sa.Integer(), nullable=False, server_default="0", comment=READERS))
    op.execute(RATE)
    where: dict[str, Any] = {"sqlite_where": RUNNING, "postgresql_where": RUNNING}
    op.create_index("uq_turns_request_key", "turns", ["request_key"], unique=True)
    op.create_index("uq_turns_running", "turns", ["thread_id"], unique=True, **where)
    op.create_index("ix_turns_running_worker", "turns", ["worker_id"], **where)
    replace_stats(STATS)


def downgrade() -> None:
    """Go back to a single worker."""
    replace_stats(OLD_STATS)
    for name in ("ix_turns_running_worker", "uq_turns_running", "uq_turns_request_key"):
        op.drop_index(name, "turns")
    for name in (*NEW, "readers"):
        op.drop_column("turns", name)
    op.drop_column("thread_items", "open")
    op.drop_table("workers")


def create_workers() -> None:
    """Create `workers`: the server processes."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False, comment=PROCESS),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )


def replace_stats(query: str) -> None:
    """Replace the view on turns."""
    op.execute("DROP VIEW turn_stats")
    op.execute(f"CREATE VIEW turn_stats AS {query.strip()}")
