"""Triggers that give a thread another `history_version` when something changes that a later message already follows.

A worker that keeps a thread's history in memory compares this one number, however long the thread is, and the thread's
position, which no other thread has had. New messages and answers do not change it: they are read. Triggers see every
writer, also SQL by hand.

Changes of items after the last user message, of notices, of a turn's unfinished items and of a turn that runs leave it
as it is: a history that is kept ends before a user message, and has no turn that runs (`history.py`). The clocks of
workers may differ, so a turn is only compared by time when it is inserted.
"""

from collections.abc import Iterator

ITEM_COLUMNS = "id, thread_id, turn_id, position, type, role, replaced_by, payload, created_at, updated_at"
TURN_COLUMNS = "id, thread_id, user_id, tenant, user_item_id, status, started_at, ended_at, transcript"
"""What a history is read from, and the times by which its rows show that they were written again."""

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


def triggers(dialect: str) -> Iterator[str]:
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
