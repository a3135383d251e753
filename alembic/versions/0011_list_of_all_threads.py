"""Let administrators list the threads of a tenant, and page on behind a thread that they have deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `deleted_threads` and the index of a tenant's threads."""
    op.create_table(
        "deleted_threads",
        sa.Column("id", sa.Text(), nullable=False, comment="Of a thread that was deleted in the last day"),
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="Where it was among all threads: a cursor may still name it",
        ),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_threads")),
    )
    op.create_index(op.f("ix_deleted_threads_deleted_at"), "deleted_threads", ["deleted_at"])
    op.create_index(
        op.f("ix_threads_tenant_position"),
        "threads",
        ["tenant", "position"],
        sqlite_where=sa.text("created_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_index(op.f("ix_threads_tenant_position"), "threads")
    op.drop_table("deleted_threads")
