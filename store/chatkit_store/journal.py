"""The journal of running turns: what their clients were told, so that a crash, or another worker, can go on from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.columns import CleanText, UtcDateTime, dump_json
from chatkit_store.database import Database, insert_into
from chatkit_store.errors import NotFound
from chatkit_store.owner import HasUser, owned
from chatkit_store.tables import turn_events, turns
from chatkit_store.turns import KEEP


class Entry(NamedTuple):
    """One event of a turn as JSON text, merged with those before it where they were text.

    `seq` is the number of the last frame that is in it. Where it takes something away, `erases` says how the payloads
    begin that go with it, of the turn's earlier entries.
    """

    turn_id: str
    seq: int
    payload: str
    erases: tuple[str, ...] = ()


class Signal(NamedTuple):
    """What another worker wants of a turn: `reason` is why it shall stop, None where it shall only go on."""

    turn_id: str
    reason: str | None


@dataclass(frozen=True)
class Excerpt:
    """What a turn's journal says after some entry, and how the turn stands."""

    status: str
    entries: list[Entry]


class JournalStore:
    """Writes and reads `turn_events`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def write(
        self, entries: Sequence[Entry], worker_id: str, transcripts: Mapping[str, Any] | None = None
    ) -> list[Signal]:
        """Add the entries of any turns in one transaction; return what other workers want of this worker's turns.

        Entries of a turn that is gone, because its thread was deleted, are passed over. `transcripts` has the
        model's side of turns that run at this worker, as far as they are, by id. What the entries erase goes in the
        same transaction.
        """
        now = datetime.now(UTC)
        rows = [{"turn": entry.turn_id, "seq": entry.seq, "payload": entry.payload, "now": now} for entry in entries]
        erased = [
            {"turn": entry.turn_id, "seq": entry.seq, "beginning": beginning}
            for entry in entries
            for beginning in entry.erases
        ]
        known = [
            {"turn": turn_id, "worker": worker_id, "transcript": None if told is None else dump_json(told)}
            for turn_id, told in (transcripts or {}).items()
        ]

        def work(connection: Connection) -> list[Signal]:
            if rows:
                connection.execute(_addition(self._database.dialect), rows)
            if erased:
                connection.execute(_ERASE, erased)
            if known:
                connection.execute(_TRANSCRIPT, known)
            found = connection.execute(_SIGNALS, {"worker": worker_id})
            return [Signal(row.id, None if row.signal == KEEP else row.signal) for row in found]

        return await (self._database.write(work) if rows or known else self._database.read(work))

    async def read(self, turn_id: str, after: int, context: HasUser) -> Excerpt:
        """The entries behind number `after`, in order. Raises `NotFound` for a turn that is not the user's."""
        values = {"turn": turn_id, "after": after, "owner": context.user_id}

        def work(connection: Connection) -> Excerpt | None:
            # The status first: it knows the owner, and nothing follows an end.
            status = connection.scalar(_STATUS, values)
            if status is None:
                return None
            return Excerpt(status, [Entry(*row) for row in connection.execute(_AFTER, values)])

        excerpt = await self._database.read(work)
        if excerpt is None:
            raise NotFound("Turn", turn_id)
        return excerpt

    async def prune(self, seconds: float) -> int:
        """Forget the events of turns, whoever's, that ended so many seconds ago; return how many those were."""
        values = {"moment": datetime.now(UTC) - timedelta(seconds=seconds)}
        return await self._database.write(lambda c: c.execute(_PRUNE, values).rowcount)


e = turn_events.c

_ENTRY = select(
    turns.c.id,
    bindparam("seq", type_=Integer),
    bindparam("payload", type_=CleanText),
    bindparam("now", type_=UtcDateTime),
).where(turns.c.id == bindparam("turn"))


@cache
def _addition(dialect: str) -> Any:
    """One entry; one that is there already, because nobody knows whether the last try was committed, stays."""
    insert = insert_into(turn_events, dialect).from_select([e.turn_id, e.seq, e.payload, e.created_at], _ENTRY)
    return insert.on_conflict_do_nothing(index_elements=[e.turn_id, e.seq])


_BEGINNING = bindparam("beginning", type_=CleanText)
_ERASE = delete(turn_events).where(
    e.turn_id == bindparam("turn"),
    e.seq < bindparam("seq", type_=Integer),
    func.substr(e.payload, 1, func.length(_BEGINNING)) == _BEGINNING,
)
_SIGNALS = select(turns.c.id, turns.c.signal).where(
    turns.c.worker_id == bindparam("worker"), turns.c.status == "running", turns.c.signal.is_not(None)
)
_TRANSCRIPT = (
    update(turns)
    .where(turns.c.id == bindparam("turn"), turns.c.worker_id == bindparam("worker"), turns.c.status == "running")
    .values(transcript=bindparam("transcript"))
)
_STATUS = select(turns.c.status).where(turns.c.id == bindparam("turn"), owned(turns))
_AFTER = (
    select(e.turn_id, e.seq, e.payload)
    .where(e.turn_id == bindparam("turn"), e.seq > bindparam("after", type_=Integer))
    .order_by(e.seq)
)
_ENDED = select(turns.c.id).where(  # for each event: there are few of them, and many turns
    turns.c.id == e.turn_id, turns.c.status != "running", turns.c.ended_at < bindparam("moment")
)
_PRUNE = delete(turn_events).where(_ENDED.correlate(turn_events).exists())
