"""Running turns as other workers see them: found, signalled, and adopted when their worker is gone."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select, update

from chatkit_store.database import AnyRow, Database
from chatkit_store.owner import HasUser, owned
from chatkit_store.tables import turns, workers

KEEP = "keep"
"""The signal of a reader elsewhere; every other one is the reason of a stop."""

t = turns.c


class Twin(NamedTuple):
    """The turn that has a request's key."""

    id: str
    status: str
    started_at: datetime


async def find(database: Database, thread_id: str, context: HasUser) -> str | None:
    """The id of the turn that runs on the thread."""
    values = {"thread": thread_id, "owner": context.user_id}
    found: str | None = await database.read(lambda c: c.scalar(_ON_THREAD, values))
    return found


async def find_by_key(database: Database, key: str, context: HasUser) -> Twin | None:
    """The user's turn with this request key."""
    values = {"key": key, "owner": context.user_id}
    row = await database.read(lambda c: c.execute(_BY_KEY, values).one_or_none())
    return None if row is None else Twin(*row)


async def free_key(database: Database, turn_id: str, context: HasUser) -> None:
    """Take its key from the turn: nobody joins it any more."""
    await database.write(lambda c: c.execute(_FREE_KEY, {"turn": turn_id, "owner": context.user_id}))


async def ask_to_stop(database: Database, turn_id: str, reason: str, context: HasUser) -> None:
    """See `TurnStore.ask_to_stop`."""
    values = {"turn": turn_id, "owner": context.user_id, "reason": reason}
    await database.write(lambda c: c.execute(_STOP, values))


async def join(database: Database, turn_id: str, context: HasUser) -> None:
    """See `TurnStore.join`."""
    await database.write(lambda c: c.execute(_JOIN, {"turn": turn_id, "owner": context.user_id}))


async def ids_of(database: Database, worker_id: str) -> frozenset[str]:
    """See `TurnStore.running_by`."""
    return frozenset(await database.read(lambda c: c.scalars(_OF_WORKER, {"worker": worker_id}).all()))


async def adopt(database: Database, worker_id: str, lost: Sequence[str]) -> Sequence[AnyRow]:
    """See `TurnStore.adopt`."""
    values = {"worker": worker_id, "lost": list(lost)}

    def work(connection: Connection) -> Sequence[AnyRow]:
        found = connection.scalars(_ADOPT, values).all()
        return connection.execute(_THESE, {"turns": found}).all() if found else []

    return await database.write(work)


_ONE = (t.id == bindparam("turn"), t.status == "running", owned(turns))
_ON_THREAD = select(t.id).where(t.thread_id == bindparam("thread"), t.status == "running", owned(turns))
_BY_KEY = select(t.id, t.status, t.started_at).where(t.request_key == bindparam("key"), owned(turns))
_FREE_KEY = update(turns).where(t.id == bindparam("turn"), owned(turns)).values(request_key=None)
_STOP = update(turns).where(*_ONE, func.coalesce(t.signal, KEEP) == KEEP).values(signal=bindparam("reason"))
_JOIN = update(turns).where(*_ONE).values(readers=t.readers + 1, signal=func.coalesce(t.signal, KEEP))
_OF_WORKER = select(t.id).where(t.worker_id == bindparam("worker"), t.status == "running")
_GONE = ~select(workers.c.id).where(workers.c.id == t.worker_id).exists()
_ADOPT = (
    update(turns)
    .where(t.status == "running", or_(t.worker_id.is_(None), _GONE, t.id.in_(bindparam("lost", expanding=True))))
    .values(worker_id=bindparam("worker"))
    .returning(t.id)
)
_THESE = select(turns).where(t.id.in_(bindparam("turns", expanding=True)))
