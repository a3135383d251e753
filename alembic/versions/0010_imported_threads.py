"""Remember which threads were imported from another server, so that an import can be resumed and repeated."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `imported_threads`."""
    op.create_table(
        "imported_threads",
        sa.Column("source_id", sa.Text(), nullable=False, comment="Id of the thread at the server that it comes from"),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column(
            "thread_id", sa.Text(), nullable=False, comment="Its id here; plain, so it outlives a deleted thread"
        ),
        sa.Column("last_item_id", sa.Text(), comment="The source's id of the last item that was taken over"),
        sa.Column(
            "imported_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When something of it was last taken over",
        ),
        sa.PrimaryKeyConstraint("source_id", "user_id", "tenant", name=op.f("pk_imported_threads")),
    )


def downgrade() -> None:
    """Drop the table. An import that is repeated later takes every thread over again."""
    op.drop_table("imported_threads")
