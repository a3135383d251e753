"""The first schema: threads, items, turns, events, attachments, feedback, and the views on them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

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
SELECT n.id AS turn_id, n.thread_id, n.user_id, n.kind, n.model, n.status, n.error_code, n.started_at,
  n.duration_ms, n.first_token_ms, n.input_tokens, n.output_tokens,
  CASE WHEN n.duration_ms > coalesce(n.first_token_ms, 0)
    THEN round(n.output_tokens * 1000.0 / (n.duration_ms - coalesce(n.first_token_ms, 0)), 1) END AS tokens_per_second
FROM turns n
""",
}


def upgrade() -> None:
    """Create all tables and views."""
    create_threads()
    create_thread_items()
    create_turns()
    create_attachments()
    create_feedback()
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query.strip()}")


def downgrade() -> None:
    """Drop all tables and views, including the data."""
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for table in ("feedback", "attachments", "turn_events", "turns", "thread_items", "threads"):
        op.drop_table(table)


def create_threads() -> None:
    """Create `threads`, in the order of their creation."""
    op.create_table(
        "threads",
        sa.Column(
            "position", BIG, sa.Identity(), nullable=False, comment="Order of creation, handed out by the database"
        ),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text()),
        sa.Column("allowed_image_domains", sa.JSON()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column(
            "last_position", BIG, nullable=False, server_default="0", comment="Highest position given to an item"
        ),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_threads")),
        sa.UniqueConstraint("id", name=op.f("uq_threads_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_threads_user_id_position"), "threads", ["user_id", "position"])


def create_thread_items() -> None:
    """Create `thread_items`, in the order of their positions."""
    op.create_table(
        "thread_items",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text(), comment="The turn that first wrote it; plain, so it outlives a pruned turn"),
        sa.Column("position", BIG, nullable=False, comment="Order within the thread; may have gaps"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("replaced_by", sa.Text(), comment="The turn whose retry took its place"),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread_items")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_thread_items_thread_id_threads"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("thread_id", "position", name=op.f("uq_thread_items_thread_id_position")),
    )


def create_turns() -> None:
    """Create `turns` and `turn_events`."""
    op.create_table(
        "turns",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_item_id", sa.Text()),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("frame_id", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("first_token_ms", sa.Integer()),
        sa.Column("duration_ms", sa.Integer()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("transcript", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_turns_thread_id_threads"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_turns_thread_id_started_at"), "turns", ["thread_id", "started_at"])
    op.create_index(op.f("ix_turns_user_id_started_at"), "turns", ["user_id", "started_at"])
    op.create_table(
        "turn_events",
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("turn_id", "seq", name=op.f("pk_turn_events")),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name=op.f("fk_turn_events_turn_id_turns"), ondelete="CASCADE"
        ),
    )


def create_attachments() -> None:
    """Create `attachments`. One is bound to a thread when it is sent."""
    op.create_table(
        "attachments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_attachments_thread_id_threads"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_attachments_thread_id"), "attachments", ["thread_id"])
    op.create_index(op.f("ix_attachments_user_id"), "attachments", ["user_id"])


def create_feedback() -> None:
    """Create `feedback`: one vote per item and user."""
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_feedback_thread_id_threads"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["thread_items.id"], name=op.f("fk_feedback_item_id_thread_items"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("item_id", "user_id", name=op.f("uq_feedback_item_id_user_id")),
    )
    op.create_index(op.f("ix_feedback_thread_id"), "feedback", ["thread_id"])
