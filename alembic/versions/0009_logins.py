"""Tenants, chat sessions, API keys, and what limits of use count."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
OWNED = ("threads", "turns", "attachments", "feedback", "sync_actions")
NO_TENANT = "Empty without tenants"
SESSION = "The chat session of the request; plain, so it outlives a pruned session"
RUNNING = sa.text("status = 'running'")
HAS_TENANT = sa.text("tenant <> ''")
HAS_ADDRESS = sa.text("address_key IS NOT NULL")
ADDRESS = "Keyed hash of an anonymous visitor's address, for a minute"

VIEWS = {
    "messages": """
SELECT i.thread_id, i.position, i.id AS item_id, i.turn_id, t.user_id,{tenant} i.role, i.text, i.created_at
FROM thread_items i JOIN threads t ON t.id = i.thread_id
WHERE i.type IN ('user_message', 'assistant_message') AND NOT i.hidden AND i.replaced_by IS NULL
ORDER BY t.position, i.position
""",
    "thread_overview": """
SELECT t.id AS thread_id, t.user_id,{tenant} t.title, t.status, t.created_at, t.updated_at,
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
SELECT n.id AS turn_id, n.thread_id, n.user_id,{tenant} n.kind, n.model, n.status, n.stop_reason, n.error_code,
  n.started_at, n.duration_ms, n.first_token_ms, n.input_tokens, n.output_tokens, n.tokens_per_second, n.retries,
  n.readers{session}
FROM turns n
""",
}


def upgrade() -> None:
    """Add the columns and tables. What is there belongs to no tenant."""
    for table in OWNED:
        op.add_column(table, sa.Column("tenant", sa.Text(), nullable=False, server_default="", comment=NO_TENANT))
    op.add_column("turns", sa.Column("session_id", sa.Text(), comment=SESSION))
    op.add_column("turns", sa.Column("address_key", sa.Text(), comment=ADDRESS))
    running: dict[str, Any] = {"sqlite_where": RUNNING, "postgresql_where": RUNNING}
    op.create_index("ix_turns_running_user", "turns", ["user_id", "tenant"], **running)
    has_tenant: dict[str, Any] = {"sqlite_where": HAS_TENANT, "postgresql_where": HAS_TENANT}
    op.create_index("ix_turns_of_tenant", "turns", ["tenant", "started_at"], **has_tenant)
    has_address: dict[str, Any] = {"sqlite_where": HAS_ADDRESS, "postgresql_where": HAS_ADDRESS}
    op.create_index("ix_turns_of_address", "turns", ["address_key", "started_at"], **has_address)
    op.create_index("ix_attachments_of_user", "attachments", ["user_id", "tenant", "size"])
    create_deleted_turns()
    create_chat_sessions()
    create_api_keys()
    replace_views(tenant=" {alias}.tenant,", session=", n.session_id")


def create_deleted_turns() -> None:
    """Create the table of turns whose threads were deleted."""
    op.create_table(
        "deleted_turns",
        sa.Column(
            "id",
            sa.Text(),
            nullable=False,
            comment="Of a turn whose thread was deleted: the limits still count it",
        ),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text()),
        sa.Column("address_key", sa.Text()),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False, comment="Input and output"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_turns")),
    )
    op.create_index(op.f("ix_deleted_turns_user_id_started_at"), "deleted_turns", ["user_id", "started_at"])
    has_tenant: dict[str, Any] = {"sqlite_where": HAS_TENANT, "postgresql_where": HAS_TENANT}
    op.create_index("ix_deleted_turns_of_tenant", "deleted_turns", ["tenant", "started_at"], **has_tenant)
    has_address: dict[str, Any] = {"sqlite_where": HAS_ADDRESS, "postgresql_where": HAS_ADDRESS}
    op.create_index("ix_deleted_turns_of_address", "deleted_turns", ["address_key", "started_at"], **has_address)
    op.create_index(op.f("ix_deleted_turns_started_at"), "deleted_turns", ["started_at"])


def create_chat_sessions() -> None:
    """Create the table of chat sessions."""
    op.create_table(
        "chat_sessions",
        sa.Column("id", sa.Text(), nullable=False, comment="Of one client secret"),
        sa.Column(
            "session_id",
            sa.Text(),
            nullable=False,
            comment="The session: the same for all secrets it is renewed to",
        ),
        sa.Column(
            "secret_hash", sa.Text(), nullable=False, comment="SHA-256 of the client secret, which is not stored"
        ),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text()),
        sa.Column(
            "is_anonymous", sa.Boolean(), nullable=False, comment="Whether the user is a browser without a login"
        ),
        sa.Column(
            "workflow",
            sa.JSON(),
            nullable=False,
            comment="id, version, state_variables and tracing, as in the API",
        ),
        sa.Column("configuration", sa.JSON(), nullable=False, comment="chatkit_configuration, as in the API"),
        sa.Column("requests_per_minute", sa.Integer(), comment="Empty without a limit of its own"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("renewable_until", TIME, nullable=False, comment="No secret of the session is valid for longer"),
        sa.Column("cancelled_at", TIME),
        sa.Column("renewed_at", TIME, comment="When it was replaced after it had expired"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_sessions")),
    )
    op.create_index("uq_chat_sessions_secret_hash", "chat_sessions", ["secret_hash"], unique=True)
    op.create_index(op.f("ix_chat_sessions_session_id_expires_at"), "chat_sessions", ["session_id", "expires_at"])
    op.create_index(op.f("ix_chat_sessions_user_id_expires_at"), "chat_sessions", ["user_id", "expires_at"])
    op.create_index(op.f("ix_chat_sessions_expires_at"), "chat_sessions", ["expires_at"])


def create_api_keys() -> None:
    """Create the table of API keys."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False, comment="SHA-256 of the key, which is not stored"),
        sa.Column("hint", sa.Text(), nullable=False, comment="The first characters of the key"),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index("uq_api_keys_key_hash", "api_keys", ["key_hash"], unique=True)


def replace_views(*, tenant: str, session: str) -> None:
    """Create all views anew, with the parts of their column lists."""
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for name, query in VIEWS.items():
        alias = "n" if name == "turn_stats" else "t"
        op.execute(f"CREATE VIEW {name} AS {query.format(tenant=tenant.format(alias=alias), session=session).strip()}")


def downgrade() -> None:
    """Remove tenants, sessions and API keys. Refuses if there are tenants: equal user ids would become one user."""
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM threads WHERE tenant <> ''")):
        raise RuntimeError("The database has threads of tenants, which version 0008 cannot keep apart.")
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for table in ("api_keys", "chat_sessions", "deleted_turns"):
        op.drop_table(table)
    op.drop_index("ix_attachments_of_user", "attachments")
    op.drop_index("ix_turns_of_address", "turns")
    op.drop_index("ix_turns_of_tenant", "turns")
    op.drop_index("ix_turns_running_user", "turns")
    op.drop_column("turns", "address_key")
    op.drop_column("turns", "session_id")
    for table in OWNED:
        op.drop_column(table, "tenant")
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query.format(tenant='', session='').strip()}")
