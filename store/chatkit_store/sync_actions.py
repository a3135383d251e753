"""Store runs of synchronous actions and their recent answers, so that a repeated action runs once."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, literal, not_, or_, select, update

from chatkit_store.acting import ALL_USERS
from chatkit_store.columns import CleanText, UtcDateTime
from chatkit_store.database import AnyRow, Database, insert_into
from chatkit_store.errors import NotFound
from chatkit_store.heartbeats import now
from chatkit_store.owner import HasUser, owned, owner_values
from chatkit_store.tables import sync_actions, threads, workers

SyncActionStatus = Literal["running", "done", "failed"]

LONGEST_SECONDS = 300.0
"""The longest time that a run counts as running, in case its end could not be written."""

s = sync_actions.c


@dataclass(frozen=True)
class SyncRun:
    """One run of an action by a worker; `key` identifies the action, `id` comes from `new_id("act")`."""

    id: str
    key: str
    thread_id: str
    worker_id: str


@dataclass(frozen=True)
class SyncAnswer:
    """The state of a run; `answer` is its answer or error as JSON text, None while it runs."""

    run_id: str
    status: SyncActionStatus
    answer: str | None
    worker_id: str


class SyncActionStore:
    """The runs of `context.user_id`'s actions, by the database's clock. Raises errors as `SqlStore` does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, run: SyncRun, seconds: float, context: HasUser) -> SyncAnswer | None:
        """Save the run as running and return None; or return the earlier run of the action, having written nothing.

        An earlier run counts if it started within the last `seconds`, or is still running at a live worker. Raises
        `NotFound` if the thread is not the user's.
        """
        dialect = self._database.dialect

        def work(connection: Connection) -> SyncAnswer | None:
            values = _moments(connection, seconds) | {**vars(run), "which": run.key, **owner_values(context)}
            if connection.scalar(_begin(dialect), values) is not None:
                return None
            row = connection.execute(_OF_KEY, values).one_or_none()
            if row is None:  # no conflict, so the thread does not exist
                raise NotFound("Thread", run.thread_id)
            return SyncAnswer(*row)

        return await self._database.write(work, context)

    async def load(self, key: str, run_id: str, context: HasUser) -> SyncAnswer | None:
        """Return the state of the run, or None if another run replaced it or its worker is gone."""

        def work(connection: Connection) -> AnyRow | None:
            values = _moments(connection, LONGEST_SECONDS) | {"which": key, "run": run_id, **owner_values(context)}
            return connection.execute(_COUNTING, values).one_or_none()

        row = await self._database.read(work, context)
        return None if row is None else SyncAnswer(*row)

    async def end(self, run: SyncRun, status: SyncActionStatus, answer: str, context: HasUser) -> None:
        """Save the answer as JSON text, unless another run has replaced this one."""
        values = {"which": run.key, "run": run.id, **owner_values(context), "new_status": status, "new_answer": answer}
        await self._database.write(lambda c: c.execute(_END, values), context)

    async def forget(self, key: str, run_id: str, context: HasUser) -> bool:
        """Delete the run if it is still running; return whether it was."""
        values = {"which": key, "run": run_id, **owner_values(context)}
        return bool(await self._database.write(lambda c: c.execute(_FORGET, values).rowcount, context))

    async def prune(self) -> int:
        """Delete the expired runs of all users; return their number."""
        return await self._database.write(lambda c: c.execute(_PRUNE, _moments(c, LONGEST_SECONDS)).rowcount, ALL_USERS)


def _moments(connection: Connection, seconds: float) -> dict[str, Any]:
    moment = now(connection)
    return {
        "now": moment,
        "recent": moment - timedelta(seconds=seconds),
        "oldest": moment - timedelta(seconds=LONGEST_SECONDS),
    }


def _moment(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=UtcDateTime)


_COUNTS = or_(
    and_(s.status == "running", s.began_at > _moment("oldest"), s.worker_id.in_(select(workers.c.id))),
    and_(s.status != "running", s.began_at > _moment("recent")),
)
_MINE = (s.key == bindparam("which"), owned(sync_actions))
_OF_KEY = select(s.id, s.status, s.answer, s.worker_id).where(*_MINE)
_COUNTING = _OF_KEY.where(s.id == bindparam("run"), _COUNTS)
_END = (
    update(sync_actions)
    .where(*_MINE, s.id == bindparam("run"))
    .values(status=bindparam("new_status"), answer=bindparam("new_answer"))
)
_FORGET = delete(sync_actions).where(*_MINE, s.id == bindparam("run"), s.status == "running")
_PRUNE = delete(sync_actions).where(s.began_at < _moment("oldest"))


@cache
def _begin(dialect: str) -> Any:
    """Return the INSERT of a run in a thread of the user, which replaces a run that no longer counts."""
    of_thread = select(
        bindparam("key", type_=CleanText),
        bindparam("id", type_=CleanText),
        threads.c.id,
        threads.c.tenant,
        threads.c.user_id,
        bindparam("worker_id", type_=CleanText),
        literal("running", CleanText),
        _moment("now"),
    ).where(threads.c.id == bindparam("thread_id"), owned(threads))
    of_thread = of_thread.with_for_update(read=True, key_share=True)  # against a deletion that is not committed yet
    columns = [s.key, s.id, s.thread_id, s.tenant, s.user_id, s.worker_id, s.status, s.began_at]
    insert = insert_into(sync_actions, dialect).from_select(columns, of_thread)
    new = insert.excluded
    changed = {column.name: new[column.name] for column in columns[1:]}
    return insert.on_conflict_do_update(
        index_elements=[s.key], set_=changed | {"answer": None}, where=and_(not_(_COUNTS), owned(sync_actions))
    ).returning(s.id)
