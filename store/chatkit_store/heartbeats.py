"""Record which workers are alive. A worker is a server process; each sends a heartbeat every few seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database, insert_into
from chatkit_store.tables import workers

w = workers.c


@dataclass(frozen=True)
class WorkerRecord:
    """A server process, identified by `host` and `process`; `silence` is its last heartbeat's age in seconds."""

    id: str
    host: str
    process: str
    silence: float = 0.0


class HeartbeatStore:
    """Writes and reads `workers`, by the clock of the database server."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def beat(self, worker: WorkerRecord) -> list[WorkerRecord]:
        """Record a heartbeat of the worker and return all other workers."""
        identity = {"id": worker.id, "host": worker.host, "process": worker.process}

        def work(connection: Connection) -> list[WorkerRecord]:
            moment = now(connection)
            connection.execute(_upsert(self._database.dialect), {**identity, "started_at": moment, "seen_at": moment})
            rows = connection.execute(_OTHERS, {"worker": worker.id})
            return [WorkerRecord(r.id, r.host, r.process, (moment - r.seen_at).total_seconds()) for r in rows]

        return await self._database.write(work, ALL_USERS)

    async def forget(self, worker_ids: Sequence[str]) -> None:
        """Delete workers that are gone."""
        await self._database.write(lambda c: c.execute(_FORGET, {"workers": list(worker_ids)}), ALL_USERS)


_OTHERS = select(workers).where(w.id != bindparam("worker"))
_FORGET = delete(workers).where(w.id.in_(bindparam("workers", expanding=True)))


def now(connection: Connection) -> datetime:
    """Return the time by the database server's clock, because the clocks of workers differ.

    A SQLite file is shared on one machine only, which has one clock.
    """
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


@cache
def _upsert(dialect: str) -> Any:
    insert = insert_into(workers, dialect)
    return insert.on_conflict_do_update(index_elements=[w.id], set_={"seen_at": insert.excluded.seen_at})
