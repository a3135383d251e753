"""The journal: the events that running turns have sent, for recovery after a crash and for readers at other workers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Connection, Integer, String, and_, bindparam, column, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS
from chatkit_store.columns import CleanText, UtcDateTime, dump_json
from chatkit_store.database import Database, insert_into
from chatkit_store.driver_connection import on_driver
from chatkit_store.errors import NotFound
from chatkit_store.notifications import CHANGES, notify
from chatkit_store.owner import HasUser, owned, owner_values
from chatkit_store.tables import RUNNING, turn_events, turns
from chatkit_store.turns import KEEP


class Entry(NamedTuple):
    """One event of a turn as JSON text; consecutive text deltas are merged into one entry.

    `seq` is the number of the last frame in it. An event that removes something also deletes the turn's earlier entries
    whose payload begins with one of `erases`.
    """

    turn_id: str
    seq: int
    payload: str
    erases: tuple[str, ...] = ()


class Signal(NamedTuple):
    """A signal from another worker: the `reason` to stop the turn, or None to keep it running."""

    turn_id: str
    reason: str | None


@dataclass(frozen=True)
class Excerpt:
    """A turn's status and its journal entries after some number."""

    status: str
    entries: list[Entry]


class JournalStore:
    """Writes and reads `turn_events`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def write(
        self,
        entries: Sequence[Entry],
        worker_id: str,
        transcripts: Mapping[str, Any] | None = None,
        read_ids: Sequence[str] = (),
        *,
        changed_ids: Sequence[str] = (),
        reads_signals: bool = True,
    ) -> list[Signal]:
        """Write entries of any turns in one transaction, and return the signals to this worker's turns.

        Entries of a turn whose thread was deleted are skipped. `transcripts` has the current transcripts of turns of
        this worker, by turn id. One reader is added to the running turns of `read_ids`. Entries that the new ones erase
        are deleted in the same transaction. Other workers are notified of the turns of `changed_ids`. Without
        `reads_signals`, no signals are read, and without anything to write no statement is run.
        """
        now = datetime.now(UTC)
        rows = [{"turn": entry.turn_id, "seq": entry.seq, "payload": entry.payload, "now": now} for entry in entries]
        erasures = [
            {"turn": entry.turn_id, "seq": entry.seq, "beginning": beginning}
            for entry in entries
            for beginning in entry.erases
        ]
        transcripts = transcripts or {}
        transcript_rows = [
            {
                "turn": turn_id,
                "worker": worker_id,
                "transcript": None if transcript is None else dump_json(transcript),
                "more": int(turn_id in read_ids),
            }
            for turn_id, transcript in transcripts.items()
        ]
        reader_rows = [{"turn": id, "worker": worker_id, "more": 1} for id in read_ids if id not in transcripts]

        def work(connection: Connection) -> list[Signal]:
            driver = on_driver(connection)
            if rows:
                driver.execute(_addition(self._database.dialect), rows)
            if erasures:
                driver.execute(_ERASE, erasures)
            if transcript_rows:
                driver.execute(_TRANSCRIPT, transcript_rows)
            if reader_rows:
                driver.execute(_READER, reader_rows)
            notify(connection, CHANGES, changed_ids)
            return _signals(driver, worker_id) if reads_signals else []

        if rows or transcript_rows or reader_rows or changed_ids:
            return await self._database.write(work, ALL_USERS)
        return await self._database.read(work, ALL_USERS) if reads_signals else []

    async def read_signals(self, worker_id: str) -> list[Signal]:
        """Return the signals to this worker's turns. A signal stays until its turn has ended."""
        return await self._database.read(lambda c: _signals(c, worker_id), ALL_USERS)

    async def read(self, turn_id: str, after: int, context: HasUser) -> Excerpt:
        """Return the entries after number `after`, in order. Raises `NotFound` if the turn is not the user's."""
        values = {"turn": turn_id, "after": after, **owner_values(context)}

        def work(connection: Connection) -> Excerpt | None:
            # The status first: it checks the owner, and no entry follows the end of a turn.
            status = connection.scalar(_STATUS, values)
            if status is None:
                return None
            return Excerpt(status, [Entry(*row) for row in connection.execute(_AFTER, values)])

        excerpt = await self._database.read(work, context)
        if excerpt is None:
            raise NotFound("Turn", turn_id)
        return excerpt

    async def read_all(self, after: Mapping[str, int]) -> dict[str, Excerpt]:
        """Return of each turn of `after` the entries after that number, in one statement, whatever their number.

        Turns that do not exist (any more) are left out. For turns whose owner was checked before: those of all users
        are read.
        """
        statement, values = _of_all(self._database.dialect, after)

        def work(connection: Connection) -> dict[str, Excerpt]:
            excerpts: dict[str, Excerpt] = {}
            for turn_id, status, seq, payload in connection.execute(statement, values):
                excerpt = excerpts.setdefault(turn_id, Excerpt(status, []))
                if seq is not None:
                    excerpt.entries.append(Entry(turn_id, seq, payload))
            return excerpts

        return await self._database.read(work, ALL_USERS)

    async def prune(self, seconds: float) -> int:
        """Delete the events of turns of all users that ended more than `seconds` ago; return their number."""
        values = {"moment": datetime.now(UTC) - timedelta(seconds=seconds)}
        return await self._database.write(lambda c: c.execute(_PRUNE, values).rowcount, ALL_USERS)


def _signals(connection: Connection, worker_id: str) -> list[Signal]:
    rows = connection.execute(_SIGNALS, {"worker": worker_id})
    return [Signal(row.id, None if row.signal == KEEP else row.signal) for row in rows]


def _of_all(dialect: str, after: Mapping[str, int]) -> tuple[Any, dict[str, Any]]:
    if dialect == "postgresql":
        return _OF_ALL_POSTGRESQL, {"turns": list(after), "numbers": list(after.values())}
    return _OF_ALL_SQLITE, {"wanted": json.dumps(after)}


e = turn_events.c

_ENTRY = (
    select(
        turns.c.id,
        bindparam("seq", type_=Integer),
        bindparam("payload", type_=CleanText),
        bindparam("now", type_=UtcDateTime),
    )
    .where(turns.c.id == bindparam("turn"))
    # Waits for a deletion that is not committed yet, instead of failing at it, with the entries of all other turns.
    .with_for_update(read=True, key_share=True)
)


@cache
def _addition(dialect: str) -> Any:
    """Return the INSERT of one entry. It ignores an existing one, which an earlier try may have committed."""
    insert = insert_into(turn_events, dialect).from_select([e.turn_id, e.seq, e.payload, e.created_at], _ENTRY)
    return insert.on_conflict_do_nothing(index_elements=[e.turn_id, e.seq])


_BEGINNING = bindparam("beginning", type_=CleanText)
_ERASE = delete(turn_events).where(
    e.turn_id == bindparam("turn"),
    e.seq < bindparam("seq", type_=Integer),
    func.substr(e.payload, 1, func.length(_BEGINNING)) == _BEGINNING,
)
_SIGNALS = select(turns.c.id, turns.c.signal).where(
    turns.c.worker_id == bindparam("worker"), turns.c.status == RUNNING, turns.c.signal.is_not(None)
)
_OWN_TURN = update(turns).where(
    turns.c.id == bindparam("turn"), turns.c.worker_id == bindparam("worker"), turns.c.status == RUNNING
)
# Each turn is updated once: when a transaction updates a row of its own, PostgreSQL locks what that refers to, the
# thread, for which it would wait while the turn's end, or the thread's deletion, waits for the turn.
_READER = _OWN_TURN.values(readers=turns.c.readers + bindparam("more", type_=Integer))
_TRANSCRIPT = _READER.values(transcript=bindparam("transcript"))
_STATUS = select(turns.c.status).where(turns.c.id == bindparam("turn"), owned(turns))
_AFTER = (
    select(e.turn_id, e.seq, e.payload)
    .where(e.turn_id == bindparam("turn"), e.seq > bindparam("after", type_=Integer))
    .order_by(e.seq)
)


def _entries_of(wanted: Any, turn_id: Any, number: Any) -> Any:
    """Return the statement that finds the entries of all turns of a table-valued function."""
    new_entries = and_(e.turn_id == turns.c.id, e.seq > number)
    return (
        select(turns.c.id, turns.c.status, e.seq, e.payload)
        .select_from(wanted.join(turns, turns.c.id == turn_id).outerjoin(turn_events, new_entries))
        .order_by(turns.c.id, e.seq)
    )


_UNNESTED = (
    func.unnest(bindparam("turns", type_=ARRAY(String)), bindparam("numbers", type_=ARRAY(Integer)))
    .table_valued(column("turn_id", String), column("number", Integer))
    .render_derived(name="wanted")
)
_OF_ALL_POSTGRESQL = _entries_of(_UNNESTED, _UNNESTED.c.turn_id, _UNNESTED.c.number)
_EACH = func.json_each(bindparam("wanted", type_=String)).table_valued(
    column("key", String), column("value", Integer), name="wanted"
)
_OF_ALL_SQLITE = _entries_of(_EACH, _EACH.c.key, _EACH.c.value)

_FIRST = select(func.min(e.turn_id).label("turn_id")).cte(
    "journaled",
    recursive=True,
    nesting=True,  # sqlite3 starts a transaction before DELETE, but not before WITH
)
_NEXT = select(func.min(e.turn_id)).where(e.turn_id > _FIRST.c.turn_id).correlate(_FIRST).scalar_subquery()
_JOURNALED = _FIRST.union_all(select(_NEXT).where(_FIRST.c.turn_id.is_not(None)))
"""The turns that have events: one step in the index per turn, instead of a scan of all events."""
_ENDED = select(turns.c.id).where(
    turns.c.id.in_(select(_JOURNALED.c.turn_id)),
    turns.c.status != RUNNING,
    turns.c.ended_at < bindparam("moment", type_=UtcDateTime),
)
_PRUNE = delete(turn_events).where(e.turn_id.in_(_ENDED))
