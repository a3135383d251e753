"""Deletions with SQLite's own tools, which leave `PRAGMA foreign_keys` off."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatkit_store import migrations
from chatkit_store.tables import metadata
from tests.databases import copy_sqlite
from tests.migrations.test_migrations import REVISIONS, alembic

ROWS = """
INSERT INTO threads (id, user_id, status, metadata, created_at, updated_at)
  VALUES ('thr_1', 'ada', 'active', '{}', '2026-01-01', '2026-01-01'),
         ('thr_2', 'ada', 'active', '{}', '2026-01-01', '2026-01-01');
INSERT INTO thread_items (id, thread_id, position, type, role, text, payload, created_at, updated_at)
  SELECT 'msg_' || id, id, 1, 'user_message', 'user', 'secret', '{}', created_at, created_at FROM threads;
INSERT INTO widget_actions SELECT id, 'order' FROM thread_items;
INSERT INTO feedback (id, thread_id, item_id, user_id, kind, created_at, updated_at)
  SELECT 'fb_' || id, thread_id, id, 'ada', 'positive', created_at, created_at FROM thread_items;
INSERT INTO turns (id, thread_id, user_id, kind, request_id, status, started_at)
  SELECT 'turn_' || id, id, 'ada', 'message', 'req_1', 'completed', created_at FROM threads;
INSERT INTO turn_events SELECT id, 1, 'secret', started_at FROM turns;
INSERT INTO paused_runs (id, thread_id, agent, status, created_at)
  SELECT 'run_' || id, id, 'A', 'waiting', created_at FROM threads;
INSERT INTO approvals (id, run_id, thread_id, place, item_id, call_id, tool, arguments, created_at)
  SELECT 'app_' || id, id, thread_id, 0, 'msg_1', 'call_1', 'refund', '{}', created_at FROM paused_runs;
INSERT INTO sync_actions (key, id, thread_id, user_id, worker_id, status, began_at)
  SELECT id, 'act_' || id, id, 'ada', 'w', 'done', created_at FROM threads;
INSERT INTO attachments (id, user_id, thread_id, name, mime_type, payload, created_at)
  SELECT 'atc_' || id, 'ada', id, 'a.txt', 'text/plain', '{}', created_at FROM threads;
"""
OF_THREADS = {
    *("threads", "thread_items", "widget_actions", "feedback", "turns", "turn_events", "paused_runs", "approvals"),
    *("sync_actions", "attachments"),
}


def counts(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in OF_THREADS}


def execute(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with two threads, which have a row in each table that depends on them."""
    copy_sqlite(tmp_path / "chat.db")
    execute(tmp_path / "chat.db", ROWS)
    assert counts(tmp_path / "chat.db") == dict.fromkeys(OF_THREADS, 2)
    return tmp_path / "chat.db"


@pytest.mark.parametrize(
    ("statement", "halved"),
    [
        ("DELETE FROM threads WHERE id = 'thr_1'", OF_THREADS),
        ("DELETE FROM thread_items WHERE thread_id = 'thr_1'", {"thread_items", "widget_actions", "feedback"}),
        ("DELETE FROM turns WHERE thread_id = 'thr_1'", {"turns", "turn_events"}),
        ("DELETE FROM paused_runs WHERE thread_id = 'thr_1'", {"paused_runs", "approvals"}),
    ],
)
def test_what_depends_on_a_row_is_deleted_with_it(file: Path, statement: str, halved: set[str]) -> None:
    execute(file, statement)
    assert counts(file) == {name: 1 if name in halved else 2 for name in OF_THREADS}


async def test_what_earlier_deletions_left_behind_is_deleted(file: Path) -> None:
    await asyncio.to_thread(alembic, "downgrade", "0011", url=f"sqlite:///{file}")
    execute(file, "DELETE FROM threads WHERE id = 'thr_1'")
    assert counts(file)["thread_items"] == 2
    assert await migrations.upgrade(f"sqlite:///{file}") == REVISIONS[11:]
    assert counts(file) == dict.fromkeys(OF_THREADS, 1)


def test_every_key_that_deletes_has_a_trigger(file: Path) -> None:
    """Also those of tables that come later."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'delete_with_%'"
        triggers = dict(connection.execute(query).fetchall())
    keys = [key for table in metadata.tables.values() for key in table.foreign_keys if key.ondelete == "CASCADE"]
    missing = [
        str(key.parent)
        for key in keys
        if f"DELETE FROM {key.parent.table.name} WHERE {key.parent.name} = OLD.{key.column.name};"
        not in triggers.get(key.column.table.name, "")
    ]
    assert (len(keys) > 5, missing) == (True, [])
