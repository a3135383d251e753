"""Number the versions of a thread's earlier part, so that a worker sees at once whether what it keeps is true."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ITEM_COLUMNS = "id, thread_id, turn_id, position, type, role, replaced_by, payload, created_at, updated_at"
TURN_COLUMNS = "id, thread_id, user_id, tenant, user_item_id, status, started_at, ended_at, transcript"

_IS_FOLLOWED = """EXISTS (SELECT 1 FROM thread_items later WHERE later.thread_id = {row}.thread_id
  AND later.position > {row}.position AND later.type = 'user_message')"""
_HAS_LATER = """EXISTS (SELECT 1 FROM turns later WHERE later.thread_id = NEW.thread_id
  AND later.started_at >= NEW.started_at AND later.id <> NEW.id)"""
_CHANGES = (
    # table, operation, by what the row alone tells, by what else the thread has
    ("thread_items", "INSERT", "NEW.role <> 'notice'", _IS_FOLLOWED.format(row="NEW")),
    (
        "thread_items",
        f"UPDATE OF {ITEM_COLUMNS}",
        "(OLD.role <> 'notice' OR NEW.role <> 'notice')",
        f"(OLD.type = 'user_message' OR {_IS_FOLLOWED.format(row='OLD')} OR {_IS_FOLLOWED.format(row='NEW')})",
    ),
    ("thread_items", "DELETE", "OLD.role <> 'notice' AND NOT OLD.open", ""),
    ("turns", "INSERT", "", _HAS_LATER),
    ("turns", f"UPDATE OF {TURN_COLUMNS}", "OLD.status <> 'running'", ""),
    ("turns", "DELETE", "", ""),
)


def _triggers(dialect: str) -> Iterator[str]:
    """Yield the statements that create the triggers, or replace what was left of them."""
    for table, operation, row_condition, thread_condition in _CHANGES:
        verb = operation.partition(" ")[0]
        name = f"version_{table}_{verb.lower()}"
        rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[verb]
        threads = ", ".join(f"{row}.thread_id" for row in rows)
        change = "UPDATE threads SET history_version = {new} WHERE id IN (" + threads + ")"
        if dialect == "sqlite":
            condition = " AND ".join(filter(None, (row_condition, thread_condition)))
            when = f"WHEN {condition} " if condition else ""
            body = change.format(new="history_version + 1")
            yield f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {operation} ON {table} {when}BEGIN {body}; END"
            continue
        # Once for all rows of a transaction: each update of a thread leaves a version of its row behind.
        change = f"{change.format(new='txid_current()')} AND history_version <> txid_current();"
        # A later message may not be committed yet: its writer has the thread's lock.
        lock = f"PERFORM 1 FROM threads WHERE id IN ({threads}) FOR NO KEY UPDATE; IF {thread_condition} THEN"
        body = f"{lock} {change} END IF;" if thread_condition else change
        # The tables may be moved to another schema, and a session may not search theirs.
        place = "PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);"
        # A session keeps its first plans, which might be those for empty tables.
        options = "SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off"
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {options} "
            f"AS $body$ BEGIN {place} {body} RETURN NULL; END $body$"
        )
        when = f"WHEN ({row_condition}) " if row_condition else ""
        yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
        yield f"CREATE TRIGGER {name} AFTER {operation} ON {table} FOR EACH ROW {when}EXECUTE FUNCTION {name}()"


def upgrade() -> None:
    """Add the number and the triggers that change it."""
    op.add_column(
        "threads",
        sa.Column(
            "history_version",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            server_default="0",
            comment="Another one after each change of items or turns that a later message follows",
        ),
    )
    for statement in _triggers(op.get_context().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """Drop both."""
    is_sqlite = op.get_context().dialect.name == "sqlite"
    for table in ("thread_items", "turns"):
        for verb in ("insert", "update", "delete"):
            name = f"version_{table}_{verb}"
            op.execute(f"DROP TRIGGER {name}" if is_sqlite else f"DROP TRIGGER {name} ON {table}")
            if not is_sqlite:
                op.execute(f"DROP FUNCTION {name}")
    op.drop_column("threads", "history_version")
