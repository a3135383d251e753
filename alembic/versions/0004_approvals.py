"""Add runs that wait for approvals, and the decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create `paused_runs` and `approvals`."""
    op.create_table(
        "paused_runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False, comment="The agent that the run began with"),
        sa.Column("status", sa.Text(), nullable=False, comment="waiting, resumed or expired"),
        sa.Column("state", sa.JSON(), comment="The run as the Agents SDK writes it; empty once it waits no more"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paused_runs")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_paused_runs_thread_id_threads"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_paused_runs_thread_id"), "paused_runs", ["thread_id"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False, comment="Order among the calls of the run"),
        sa.Column("item_id", sa.Text(), nullable=False, comment="The card that asks"),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False, comment="JSON as the model wrote it"),
        sa.Column(
            "decision", sa.Text(), comment="approved or rejected; empty while it waits, and where the run expired"
        ),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("decided_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["paused_runs.id"], name=op.f("fk_approvals_run_id_paused_runs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_approvals_thread_id_threads"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_approvals_run_id"), "approvals", ["run_id"])
    op.create_index(op.f("ix_approvals_thread_id"), "approvals", ["thread_id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("approvals")
    op.drop_table("paused_runs")
