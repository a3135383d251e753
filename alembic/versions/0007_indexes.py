"""Add indexes, so that no statement visits more rows because other threads and users have more."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes; those of a few rows get a condition, so that they cost nothing elsewhere."""
    op.create_index("ix_thread_items_turn_id_position", "thread_items", ["turn_id", "position"])
    for name, table, column, condition in (
        ("ix_thread_items_replaced_by", "thread_items", "replaced_by", "replaced_by IS NOT NULL"),
        ("ix_turns_user_item_id", "turns", "user_item_id", "user_item_id IS NOT NULL"),
        ("ix_turns_ended_at", "turns", "ended_at", "ended_at IS NOT NULL"),
        ("ix_attachments_unsent_of_user", "attachments", "user_id", "thread_id IS NULL"),
        ("ix_attachments_unsent", "attachments", "created_at", "thread_id IS NULL"),
    ):
        op.create_index(name, table, [column], **only(condition))
    op.drop_index("ix_attachments_user_id", "attachments")
    op.drop_index("ix_attachments_thread_id", "attachments")
    op.create_index("ix_attachments_thread_id", "attachments", ["thread_id"], **only("thread_id IS NOT NULL"))
    op.drop_index("ix_paused_runs_thread_id", "paused_runs")
    op.create_index("ix_paused_runs_thread_id_status", "paused_runs", ["thread_id", "status"])


def downgrade() -> None:
    """Restore the old ones."""
    op.drop_index("ix_paused_runs_thread_id_status", "paused_runs")
    op.create_index("ix_paused_runs_thread_id", "paused_runs", ["thread_id"])
    op.drop_index("ix_attachments_thread_id", "attachments")
    op.create_index("ix_attachments_thread_id", "attachments", ["thread_id"])
    op.create_index("ix_attachments_user_id", "attachments", ["user_id"])
    op.drop_index("ix_attachments_unsent", "attachments")
    op.drop_index("ix_attachments_unsent_of_user", "attachments")
    op.drop_index("ix_turns_ended_at", "turns")
    op.drop_index("ix_turns_user_item_id", "turns")
    op.drop_index("ix_thread_items_replaced_by", "thread_items")
    op.drop_index("ix_thread_items_turn_id_position", "thread_items")


def only(condition: str) -> dict[str, Any]:
    """Limit an index to the rows that meet a condition."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
