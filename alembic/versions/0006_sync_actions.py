"""Record synchronous actions, so that a repeated one runs once across all workers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `sync_actions`."""
    op.create_table(
        "sync_actions",
        sa.Column("key", sa.Text(), nullable=False, comment="Fingerprint of the user, the widget and the action"),
        sa.Column("id", sa.Text(), nullable=False, comment="The time that it was done"),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=False, comment="Who does it"),
        sa.Column("status", sa.Text(), nullable=False, comment="running, done or failed"),
        sa.Column("answer", sa.JSON(), comment="What was answered, or the error; empty while it runs"),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sync_actions")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_sync_actions_thread_id_threads"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_sync_actions_thread_id"), "sync_actions", ["thread_id"])
    op.create_index(op.f("ix_sync_actions_began_at"), "sync_actions", ["began_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("sync_actions")
