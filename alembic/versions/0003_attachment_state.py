"""Add the size of attachments, and whether their bytes are stored."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add `size` and `status`."""
    op.add_column("attachments", sa.Column("size", BIG, comment="Bytes; those announced until it is stored"))
    op.add_column(
        "attachments",
        sa.Column("status", sa.Text(), nullable=False, server_default="stored", comment="pending, uploading or stored"),
    )


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("attachments", "status")
    op.drop_column("attachments", "size")
