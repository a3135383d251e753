"""Fill a database with the rows of other threads and users, and of a user with a long history."""

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

ITEMS = 100_000
OLDEST = 1_767_225_600  # 2026-01-01
LONG_THREAD = "thr_x1"
"""A thread of Alice with half of all items and turns."""

GROWING = frozenset(
    {
        "threads",
        "thread_items",
        "turns",
        "deleted_turns",
        "deleted_threads",
        "turn_events",
        "attachments",
        "feedback",
        "paused_runs",
        "approvals",
        "sync_actions",
        "widget_actions",
        "chat_sessions",
        "imported_threads",
    }
)
"""The tables that this fills: all but `workers` and `api_keys`, which have few rows."""

_THREADS, _TURNS, _RUNNING, _OTHERS = 5_000, 25_000, 200, 20_000
_NUMBERS = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {count})"
_THREAD = f"CASE WHEN k % 2 = 0 THEN '{LONG_THREAD}' ELSE 'thr_x' || (1 + k % {_THREADS}) END"
_USER = "CASE WHEN k % 2 = 0 THEN 'alice' ELSE 'user' || (k % 100) END"
_FEW_USERS = "CASE WHEN k % 20 = 0 THEN 'alice' ELSE 'user' || (k % 100) END"
_ITEM = (
    """'{"id": "x", "thread_id": "x", "created_at": "2026-01-01T00:00:00Z", "content": [], "inference_options": {}, '"""
    """ || '"attachments": [], "type": "' || CASE WHEN k % 4 = 0 THEN 'user' ELSE 'assistant' END || '_message"}'"""
)
JSON_COLUMNS = frozenset({"metadata", "payload", "transcript", "workflow", "configuration"})
_TIME = "time"
"""Replaced by a different time for each row."""
_OLD, _RECENT = "'2026-01-01 00:00:00.000000Z'", "'2100-01-01 00:00:00.000000Z'"

_COLUMNS: dict[str, tuple[int, dict[str, str]]] = {
    "threads": (
        _THREADS,
        {"id": "'thr_x' || k", "user_id": "CASE WHEN k % 10 = 1 THEN 'alice' ELSE 'user' || (k % 100) END"}
        | {"status": "'active'", "metadata": "'{}'", "last_position": str(ITEMS)}
        | {"created_at": _OLD, "updated_at": _OLD},
    ),
    "turns": (
        _TURNS,
        {"id": "'turn_x' || k", "thread_id": _THREAD, "user_id": _USER, "kind": "'threads.add_user_message'"}
        | {"user_item_id": "CASE WHEN k % 10 = 0 THEN NULL ELSE 'msg_x' || (4 * k) END", "request_id": "'req_x'"}
        | {"status": "'completed'", "request_key": "'key_x' || k", "worker_id": "'gone'", "transcript": "'[]'"}
        | {"started_at": _TIME, "ended_at": _TIME},
    ),
    "turns of live workers": (
        _RUNNING,
        {"id": "'run_x' || k", "thread_id": "'thr_x' || (2 * k + 2)", "user_id": "'user' || (k % 100)"}
        | {"kind": "'threads.add_user_message'", "request_id": "'req_x'", "status": "'running'"}
        | {"worker_id": "'live'", "started_at": _OLD},
    ),
    "deleted_turns": (
        _OTHERS,
        {"id": "'gone_x' || k", "tenant": "''", "user_id": "'user' || (k % 100)", "started_at": _RECENT, "tokens": "5"},
    ),
    "deleted_threads": (_OTHERS, {"id": "'thr_gone' || k", "position": "k", "deleted_at": _RECENT}),
    "turn_events": (
        _RUNNING * 250,
        {"turn_id": f"'run_x' || (1 + k % {_RUNNING})", "seq": "k", "payload": "'{}'", "created_at": _OLD},
    ),
    "thread_items": (
        ITEMS,
        {"id": "'msg_x' || k", "thread_id": _THREAD, "turn_id": "'turn_x' || (k / 4)", "position": "k"}
        | {"type": "CASE WHEN k % 4 = 0 THEN 'user_message' ELSE 'assistant_message' END", "role": "'assistant'"}
        | {"text": "'Some words'", "payload": _ITEM, "created_at": _TIME, "updated_at": _TIME}
        | {"replaced_by": "CASE WHEN k % 5 = 0 THEN 'turn_x' || (k / 5) ELSE NULL END"},
    ),
    "attachments": (
        _OTHERS,
        {
            "id": "'atc_x' || k",
            "user_id": _FEW_USERS,
            "name": "'a.txt'",
            "mime_type": "'text/plain'",
            "payload": "'{}'",
        }
        | {"thread_id": f"CASE WHEN k % 10 = 1 THEN NULL ELSE '{LONG_THREAD}' END", "created_at": _RECENT},
    ),
    "feedback": (
        _OTHERS,
        {"id": "'fbk_x' || k", "thread_id": f"'{LONG_THREAD}'", "item_id": "'msg_x' || (2 * k)", "user_id": _USER}
        | {"kind": "'positive'", "created_at": _OLD, "updated_at": _OLD},
    ),
    "paused_runs": (
        _OTHERS,
        {"id": "'wait_x' || k", "thread_id": _THREAD, "agent": "'Clerk'", "status": "'resumed'", "created_at": _OLD},
    ),
    "approvals": (
        _OTHERS,
        {"id": "'apr_x' || k", "run_id": "'wait_x' || k", "thread_id": _THREAD, "place": "0", "item_id": "'msg_x'"}
        | {"call_id": "'call'", "tool": "'buy'", "arguments": "'{}'", "decision": "'approved'", "created_at": _OLD},
    ),
    "sync_actions": (
        _OTHERS,
        {"key": "'key_x' || k", "id": "'act_x' || k", "thread_id": _THREAD, "user_id": _USER, "worker_id": "'live'"}
        | {"status": "'done'", "began_at": _RECENT},
    ),
    "imported_threads": (
        _OTHERS,
        {"source_id": "'cthr_x' || k", "user_id": _USER, "tenant": "''", "thread_id": "'thr_x' || k"}
        | {"imported_at": _OLD},
    ),
    "widget_actions": (_OTHERS, {"item_id": "'msg_x' || k", "type": "'click'"}),
    "chat_sessions": (
        _OTHERS,
        {"id": "'cksess_x' || k", "session_id": "'cksess_x' || k", "secret_hash": "'hash_x' || k", "tenant": "''"}
        | {"user_id": "'user' || (k % 100)", "is_anonymous": "false", "workflow": "'{}'", "configuration": "'{}'"}
        | {"created_at": _OLD, "expires_at": _RECENT, "renewable_until": _RECENT},
    ),
}


async def fill(engine: AsyncEngine, *, analyze: bool = True) -> None:
    """Add 100,000 items and what belongs to them. `analyze` updates the statistics that the planner uses."""

    def work(connection: Connection) -> None:
        times = f"VALUES ('live', 'far', '1', {_OLD}, {_RECENT})"
        connection.execute(text(f"INSERT INTO workers (id, host, process, started_at, seen_at) {times}"))
        for statement in _statements(connection.dialect.name):
            connection.execute(text(statement))

    async with engine.begin() as connection:
        await connection.run_sync(work)
    if analyze:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("ANALYZE"))


def _statements(dialect: str) -> Iterator[str]:
    for name, (count, columns) in _COLUMNS.items():
        table, names = name.partition(" ")[0], ", ".join(f'"{column}"' for column in columns)
        values = (_typed(column, value, dialect) for column, value in columns.items())
        yield f"INSERT INTO {table} ({names}) {_NUMBERS.format(count=count)} SELECT {', '.join(values)} FROM n"


def _typed(column: str, value: str, dialect: str) -> str:
    if value == _TIME:
        since = "'2026-01-01', '+' || k || ' seconds'"
        is_sqlite = dialect == "sqlite"
        return f"strftime('%Y-%m-%d %H:%M:%S.000000Z', {since})" if is_sqlite else f"to_timestamp({OLDEST} + k)"
    if dialect == "sqlite":
        return value
    if column.endswith("_at"):
        return f"CAST({value} AS timestamptz)"
    return (
        f"CAST({value} AS json)"
        if column in {"metadata", "payload", "transcript", "workflow", "configuration"}
        else value
    )
