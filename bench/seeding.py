"""Databases that are already large: one real turn, saved by the server, and as many copies of it as are wanted.

The copies are made by the database, so 400,000 items take seconds. Copies have all columns of the store's tables, so
they follow its schema.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Table

from bench.client import Client
from bench.processes import HEADER_LOGIN
from bench.suite import Bench
from chatkit_store.tables import thread_items, threads, turns

TURNS_OF_A_THREAD = 10
ITEMS_OF_A_TURN = 2
"""The user's message and the answer."""
WORDS = "What is said here is as long as a message of two lines, and means nothing. " * 2
TOKENS = 12
"""Of the answer: about as long as the message."""
LATER = "strftime('%Y-%m-%d %H:%M:%S', {column}, '-' || ((:turns - i) * 60) || ' seconds') || '.000000Z'"


async def seeded(bench: Bench) -> Path:
    """Return the folder of this run's databases, with `turn.db` in it: one turn of one user, as our server saves it."""
    folder = bench.folder / "seeds"
    if not (folder / "turn.db").exists():
        folder.mkdir(exist_ok=True)
        async with bench.starting("ours", settings_of(folder / "new.db")) as server:
            client = Client(server.port, "source")
            await (await client.ask(padding=WORDS, tokens=TOKENS)).complete(TOKENS)
            client.close()
        with _opened(folder / "new.db") as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (folder / "new.db").rename(folder / "turn.db")
    return folder


def settings_of(database: Path) -> Mapping[str, str]:
    """Return the settings of a server with this database, where clients say who they are."""
    return {**HEADER_LOGIN, "CHATKIT_DATABASE_URL": f"sqlite:///{database}"}


def copy(source: Path, target: Path) -> Path:
    """Copy a database that no server has open."""
    shutil.copy(source, target)
    return target


def add_turns(database: Path, prefix: str, user: str, count: int, of_a_thread: int = TURNS_OF_A_THREAD) -> None:
    """Add copies of the first turn: `count` turns in threads `thr_PREFIX_0`, `thr_PREFIX_1` and so on.

    `user` is the SQL of their user's id; `thread` is the number of a thread in it.
    """
    first = "FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid LIMIT {rows})"
    thread, turn = f"'thr_{prefix}_' || thread", f"'turn_{prefix}_' || i"
    item = f"'msg_{prefix}_' || i || '_' || position"
    user = f"({user})"
    of_thread = {"id": thread, "user_id": user, "last_position": f"{of_a_thread * ITEMS_OF_A_TURN + 1}"}
    of_turn = {"id": turn, "thread_id": thread, "user_id": user, "request_id": turn, "request_key": "NULL"}
    of_turn |= {"user_item_id": f"'msg_{prefix}_' || i || '_1'"}
    of_turn |= {column: LATER.format(column=column) for column in ("started_at", "ended_at")}
    of_item = {"id": item, "thread_id": thread, "turn_id": turn}
    of_item |= {"position": f"(i % {of_a_thread}) * {ITEMS_OF_A_TURN} + position"}
    of_item |= {"created_at": LATER.format(column="created_at")}
    of_item |= {"payload": f"replace(replace(payload, thread_id, {thread}), id, {item})"}
    with _opened(database) as connection:
        for table, rows, number, changes in (
            (threads, 1, (count + of_a_thread - 1) // of_a_thread, of_thread),
            (turns, 1, count, of_turn),
            (thread_items, ITEMS_OF_A_TURN, count, of_item),
        ):
            source = first.format(table=table.name, rows=rows)
            group = 1 if table is threads else of_a_thread
            connection.execute(_copies(table, source, changes, group), {"count": number, "turns": count})


def _copies(table: Table, source: str, changes: Mapping[str, str], group: int) -> str:
    columns = [column.name for column in table.columns if not column.autoincrement or not column.identity]
    values = ", ".join(changes.get(name, f'"{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    return (
        f'INSERT INTO "{table.name}" ({names}) '
        "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :count), "
        f"numbered AS (SELECT i, i / {group} AS thread FROM numbers), source AS (SELECT * {source}) "
        f"SELECT {values} FROM numbered, source"
    )


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
