"""Find a thread's notice without reading its other items."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index, which has only the rows of notices."""
    condition = sa.text("role = 'notice'")
    op.create_index(
        op.f("ix_thread_items_notices"),
        "thread_items",
        ["thread_id"],
        sqlite_where=condition,
        postgresql_where=condition,
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(op.f("ix_thread_items_notices"), "thread_items")
