"""Find what a user imported without reading what all imported: `chatkit-server users delete` forgets it."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index(op.f("ix_imported_threads_user_id_tenant"), "imported_threads", ["user_id", "tenant"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(op.f("ix_imported_threads_user_id_tenant"), "imported_threads")
