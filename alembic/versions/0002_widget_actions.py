"""Record the actions that widgets have offered, to recognize a click on a card that has changed since."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `widget_actions`. Existing widgets are recorded when they are saved again."""
    op.create_table(
        "widget_actions",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False, comment="Type of an action that the widget offers or has offered"),
        sa.PrimaryKeyConstraint("item_id", "type", name=op.f("pk_widget_actions")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["thread_items.id"], name=op.f("fk_widget_actions_item_id_thread_items"), ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("widget_actions")
