"""The tables in SQLAlchemy Core. The migrations in `alembic/versions` create the same ones; a test compares them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnClause,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

from chatkit_store.columns import CleanText, JsonText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Big = BigInteger().with_variant(Integer(), "sqlite")  # SQLite only auto-increments a column of type INTEGER


def _thread_id(nullable: bool = False) -> Column[str]:
    return Column("thread_id", CleanText, ForeignKey("threads.id", ondelete="CASCADE"), nullable=nullable)


def _tenant() -> Column[str]:
    return Column("tenant", CleanText, nullable=False, server_default="", comment="Empty without tenants")


RUNNING: ColumnClause[str] = literal_column("'running'")
"""The status of running turns. Not a parameter: an index of running turns only serves statements that name them."""


def _only(condition: str) -> dict[str, Any]:
    """Limit an index to the rows that meet a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


threads = Table(
    "threads",
    metadata,
    Column("position", _Big, Identity(), primary_key=True, comment="Order of creation, handed out by the database"),
    Column("id", CleanText, nullable=False),
    Column("user_id", CleanText, nullable=False),
    Column("title", CleanText),
    Column("status", CleanText, nullable=False),
    Column("status_reason", CleanText),
    Column("allowed_image_domains", JsonText),
    Column("metadata", JsonText, nullable=False),
    Column("last_position", _Big, nullable=False, server_default="0", comment="Highest position given to an item"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    _tenant(),
    Column(
        "history_version",
        _Big,
        nullable=False,
        server_default="0",
        comment="Another one after each change of items or turns that a later message follows",
    ),
    UniqueConstraint("id"),
    Index(None, "user_id", "position"),
    # On SQLite, only statements that repeat the condition may use it: without statistics, it might look for a user's
    # threads among those of the tenant.
    Index(None, "tenant", "position", sqlite_where=text("created_at IS NOT NULL")),
    sqlite_autoincrement=True,  # never reuses the position of a deleted thread
)

thread_items = Table(
    "thread_items",
    metadata,
    Column("id", CleanText, primary_key=True),
    _thread_id(),
    Column("turn_id", CleanText, comment="The turn that first wrote it; plain, so it outlives a pruned turn"),
    Column("position", _Big, nullable=False, comment="Order within the thread; may have gaps"),
    Column("type", CleanText, nullable=False),
    Column("role", CleanText, nullable=False),
    Column("text", CleanText, nullable=False),
    Column("hidden", Boolean, nullable=False, server_default=false()),
    Column("replaced_by", CleanText, comment="The turn whose retry took its place"),
    Column("payload", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("open", Boolean, nullable=False, server_default=false(), comment="Still being written by its turn"),
    UniqueConstraint("thread_id", "position"),
    Index(None, "turn_id", "position"),
    Index(None, "replaced_by", **_only("replaced_by IS NOT NULL")),
    Index("ix_thread_items_notices", "thread_id", **_only("role = 'notice'")),
)

widget_actions = Table(
    "widget_actions",
    metadata,
    Column("item_id", CleanText, ForeignKey("thread_items.id", ondelete="CASCADE"), nullable=False),
    Column("type", CleanText, nullable=False, comment="Type of an action that the widget offers or has offered"),
    PrimaryKeyConstraint("item_id", "type"),
)

sync_actions = Table(
    "sync_actions",
    metadata,
    Column("key", CleanText, primary_key=True, comment="Fingerprint of the user, the widget and the action"),
    Column("id", CleanText, nullable=False, comment="The time that it was done"),
    _thread_id(),
    Column("user_id", CleanText, nullable=False),
    Column("worker_id", CleanText, nullable=False, comment="Who does it"),
    Column("status", CleanText, nullable=False, comment="running, done or failed"),
    Column("answer", JsonText, comment="What was answered, or the error; empty while it runs"),
    Column("began_at", UtcDateTime, nullable=False),
    _tenant(),
    Index(None, "thread_id"),
    Index(None, "began_at"),
)

paused_runs = Table(
    "paused_runs",
    metadata,
    Column("id", CleanText, primary_key=True),
    _thread_id(),
    Column("agent", CleanText, nullable=False, comment="The agent that the run began with"),
    Column("status", CleanText, nullable=False, comment="waiting, resumed or expired"),
    Column("state", JsonText, comment="The run as the Agents SDK writes it; empty once it waits no more"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index(None, "thread_id", "status"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("run_id", CleanText, ForeignKey("paused_runs.id", ondelete="CASCADE"), nullable=False),
    _thread_id(),
    Column("place", Integer, nullable=False, comment="Order among the calls of the run"),
    Column("item_id", CleanText, nullable=False, comment="The card that asks"),
    Column("call_id", CleanText, nullable=False),
    Column("tool", CleanText, nullable=False),
    Column("arguments", CleanText, nullable=False, comment="JSON as the model wrote it"),
    Column("decision", CleanText, comment="approved or rejected; empty while it waits, and where the run expired"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Index(None, "run_id"),
    Index(None, "thread_id"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", CleanText, primary_key=True),
    _thread_id(),
    Column("user_id", CleanText, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("user_item_id", CleanText),
    Column("request_id", CleanText, nullable=False),
    Column("frame_id", CleanText),
    Column("model", CleanText),
    Column("status", CleanText, nullable=False),
    Column("stop_reason", CleanText),
    Column("error_code", CleanText),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("first_token_ms", Integer),
    Column("duration_ms", Integer),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("transcript", JsonText),
    Column("tokens_per_second", Float),
    Column("retries", Integer, comment="Requests to the model that were repeated"),
    Column("worker_id", CleanText, comment="Who runs it, or closed it after a crash"),
    Column("signal", CleanText, comment="What another worker wants of the one that runs it"),
    Column("request_key", CleanText, comment="Fingerprint of the request: a second one with it joins the turn"),
    Column("readers", Integer, nullable=False, server_default="0", comment="Connections that read it"),
    _tenant(),
    Column("session_id", CleanText, comment="The chat session of the request; plain, so it outlives a pruned session"),
    Column("address_key", CleanText, comment="Keyed hash of an anonymous visitor's address, for a minute"),
    Index(None, "thread_id", "started_at"),
    Index(None, "user_id", "started_at"),
    Index(None, "user_item_id", **_only("user_item_id IS NOT NULL")),
    Index(None, "ended_at", **_only("ended_at IS NOT NULL")),
    Index("uq_turns_request_key", "request_key", unique=True),
    Index("uq_turns_running", "thread_id", unique=True, **_only("status = 'running'")),
    Index("ix_turns_running_worker", "worker_id", **_only("status = 'running'")),
    Index("ix_turns_running_user", "user_id", "tenant", **_only("status = 'running'")),
    Index("ix_turns_of_tenant", "tenant", "started_at", **_only("tenant <> ''")),
    Index("ix_turns_of_address", "address_key", "started_at", **_only("address_key IS NOT NULL")),
)

deleted_threads = Table(
    "deleted_threads",
    metadata,
    Column("id", CleanText, primary_key=True, comment="Of a thread that was deleted in the last day"),
    Column("position", _Big, nullable=False, comment="Where it was among all threads: a cursor may still name it"),
    Column("deleted_at", UtcDateTime, nullable=False),
    Index(None, "deleted_at"),
)

deleted_turns = Table(
    "deleted_turns",
    metadata,
    Column("id", CleanText, primary_key=True, comment="Of a turn whose thread was deleted: the limits still count it"),
    Column("tenant", CleanText, nullable=False),
    Column("user_id", CleanText, nullable=False),
    Column("session_id", CleanText),
    Column("address_key", CleanText),
    Column("started_at", UtcDateTime, nullable=False),
    Column("tokens", Integer, nullable=False, comment="Input and output"),
    Index(None, "user_id", "started_at"),
    Index("ix_deleted_turns_of_tenant", "tenant", "started_at", **_only("tenant <> ''")),
    Index("ix_deleted_turns_of_address", "address_key", "started_at", **_only("address_key IS NOT NULL")),
    Index(None, "started_at"),
)

turn_events = Table(
    "turn_events",
    metadata,
    Column("turn_id", CleanText, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("payload", CleanText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("turn_id", "seq"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("host", CleanText, nullable=False),
    Column("process", CleanText, nullable=False, comment="Its number and start, which tell it from a later process"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("user_id", CleanText, nullable=False),
    _thread_id(nullable=True),
    Column("name", CleanText, nullable=False),
    Column("mime_type", CleanText, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("size", _Big, comment="Bytes; those announced until it is stored"),
    Column("status", CleanText, nullable=False, server_default="stored", comment="pending, uploading or stored"),
    _tenant(),
    Index(None, "thread_id", **_only("thread_id IS NOT NULL")),
    Index("ix_attachments_unsent_of_user", "user_id", **_only("thread_id IS NULL")),
    Index("ix_attachments_unsent", "created_at", **_only("thread_id IS NULL")),
    Index("ix_attachments_of_user", "user_id", "tenant", "size"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", CleanText, primary_key=True),
    _thread_id(),
    Column("item_id", CleanText, ForeignKey("thread_items.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", CleanText, nullable=False),
    Column("turn_id", CleanText),
    Column("kind", CleanText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    _tenant(),
    UniqueConstraint("item_id", "user_id"),
    Index(None, "thread_id"),
)

chat_sessions = Table(
    "chat_sessions",
    metadata,
    Column("id", CleanText, primary_key=True, comment="Of one client secret"),
    Column("session_id", CleanText, nullable=False, comment="The session: the same for all secrets it is renewed to"),
    Column("secret_hash", CleanText, nullable=False, comment="SHA-256 of the client secret, which is not stored"),
    Column("tenant", CleanText, nullable=False),
    Column("user_id", CleanText, nullable=False),
    Column("user_name", CleanText),
    Column("is_anonymous", Boolean, nullable=False, comment="Whether the user is a browser without a login"),
    Column("workflow", JsonText, nullable=False, comment="id, version, state_variables and tracing, as in the API"),
    Column("configuration", JsonText, nullable=False, comment="chatkit_configuration, as in the API"),
    Column("requests_per_minute", Integer, comment="Empty without a limit of its own"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("renewable_until", UtcDateTime, nullable=False, comment="No secret of the session is valid for longer"),
    Column("cancelled_at", UtcDateTime),
    Column("renewed_at", UtcDateTime, comment="When it was replaced after it had expired"),
    Index("uq_chat_sessions_secret_hash", "secret_hash", unique=True),
    Index(None, "session_id", "expires_at"),
    Index(None, "user_id", "expires_at"),
    Index(None, "expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("name", CleanText, nullable=False),
    Column("key_hash", CleanText, nullable=False, comment="SHA-256 of the key, which is not stored"),
    Column("hint", CleanText, nullable=False, comment="The first characters of the key"),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Index("uq_api_keys_key_hash", "key_hash", unique=True),
)

imported_threads = Table(
    "imported_threads",
    metadata,
    Column("source_id", CleanText, nullable=False, comment="Id of the thread at the server that it comes from"),
    Column("user_id", CleanText, nullable=False),
    Column("tenant", CleanText, nullable=False),
    Column("thread_id", CleanText, nullable=False, comment="Its id here; plain, so it outlives a deleted thread"),
    Column("last_item_id", CleanText, comment="The source's id of the last item that was taken over"),
    Column("imported_at", UtcDateTime, nullable=False, comment="When something of it was last taken over"),
    PrimaryKeyConstraint("source_id", "user_id", "tenant"),
    Index(None, "user_id", "tenant"),
)
