"""Store runs that wait for tool calls to be approved, and the decisions: one per call.

A run waits until all of its calls are decided and a worker takes it, or until a new message makes it expire.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from chatkit_store.columns import UtcDateTime, dump_json, load_json
from chatkit_store.database import AnyRow, Database
from chatkit_store.errors import AlreadyDecided, NotFound
from chatkit_store.items import check_thread, take_positions
from chatkit_store.owner import HasUser, owned, owner_values
from chatkit_store.tables import approvals, paused_runs

Decision = Literal["approved", "rejected"]
RunStatus = Literal["waiting", "resumed", "expired"]

a = approvals.c
r = paused_runs.c


@dataclass(frozen=True)
class ApprovalDecision:
    """The decision on one call."""

    approval_id: str
    decision: Decision


@dataclass(frozen=True)
class NewApproval:
    """A tool call to approve; `arguments` is JSON as the model wrote it, `item_id` the approval card.

    Without a `tool`, it is a question to the user, with `arguments` as its text.
    """

    id: str
    item_id: str
    call_id: str
    tool: str
    arguments: str


@dataclass(frozen=True)
class Approval(NewApproval):
    """A row of `approvals`; `decision` is None while it waits, and stays None if its run expires."""

    run_id: str
    decision: Decision | None


@dataclass(frozen=True)
class PausedRun:
    """A row of `paused_runs` with its calls in order; `state` is plain JSON, None once the run no longer waits.

    A run that a retry made expire keeps its state until the retry ends: it waits again if the retry is taken back.
    """

    id: str
    thread_id: str
    status: RunStatus
    agent: str
    state: Any
    approvals: Sequence[Approval]

    @property
    def is_decided(self) -> bool:
        """Whether all of its calls are decided."""
        return all(approval.decision is not None for approval in self.approvals)


class ApprovalStore:
    """The paused runs of `context.user_id`'s threads. Raises errors as `SqlStore` does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(
        self, thread_id: str, run_id: str, agent: str, state: Any, calls: Sequence[NewApproval], context: HasUser
    ) -> None:
        """Save a run and the calls it waits for; none if it waits for other answers.

        Raises `NotFound` if the thread is not the user's.
        """
        now = datetime.now(UTC)
        run = {"id": run_id, "thread_id": thread_id, "agent": agent, "state": dump_json(state), "created_at": now}
        common = {"run_id": run_id, "thread_id": thread_id, "created_at": now}
        rows = [{**vars(call), **common, "place": place} for place, call in enumerate(calls)]

        def work(connection: Connection) -> None:
            take_positions(connection, thread_id, 0, context)
            connection.execute(insert(paused_runs), run | {"status": "waiting"})
            if rows:
                connection.execute(insert(approvals), rows)

        await self._database.write(work, context)

    async def load(self, thread_id: str, approval_id: str, context: HasUser) -> PausedRun:
        """Return the run that an approval belongs to. Raises `NotFound`."""
        return await self._database.read(lambda c: _load(c, thread_id, approval_id, context), context)

    async def load_run(self, thread_id: str, run_id: str, context: HasUser) -> PausedRun:
        """Return a run by its id. Raises `NotFound`."""
        values = {"thread": thread_id, "run": run_id, **owner_values(context)}

        def work(connection: Connection) -> PausedRun:
            row = connection.execute(_OF_RUN, values).one_or_none()
            if row is None:
                raise NotFound("Run", run_id)
            return _run(connection, row, load_json(row.state))

        return await self._database.read(work, context)

    async def take(self, thread_id: str, run_id: str, context: HasUser) -> bool:
        """Mark a fully decided run as resumed; return True to exactly one caller, who must resume it."""
        values = {"thread": thread_id, "run": run_id, **owner_values(context), "now": datetime.now(UTC)}
        return await self._database.write(lambda c: c.scalar(_RESUME, values), context) is not None

    async def waiting(self, thread_id: str, context: HasUser) -> list[PausedRun]:
        """Return the waiting runs of a thread, including decided ones, without their states. Raises `NotFound`."""

        def work(connection: Connection) -> list[PausedRun]:
            check_thread(connection, thread_id, context)
            rows = connection.execute(_WAITING, {"thread": thread_id, **owner_values(context)}).all()
            return [_run(connection, row, None) for row in rows]

        return await self._database.read(work, context)

    async def expire(self, thread_id: str, context: HasUser) -> None:
        """Make all waiting runs of the thread expire. Raises `NotFound`."""

        def work(connection: Connection) -> None:
            check_thread(connection, thread_id, context)
            expire(connection, thread_id)

        await self._database.write(work, context)


def decide(connection: Connection, thread_id: str, decision: ApprovalDecision, context: HasUser) -> None:
    """Save the decision on one call. Raises `NotFound`, and `AlreadyDecided` if it or its run no longer waits."""
    run_id = connection.scalar(_RUN_OF_APPROVAL, _of_approval(thread_id, decision.approval_id, context))
    if run_id is None:
        raise NotFound("Approval", decision.approval_id)
    # Locks the run, so that of two concurrent decisions the second sees the first.
    if connection.scalar(_LOCK, {"run": run_id}) is None:
        raise AlreadyDecided(decision.approval_id)
    values = {"approval": decision.approval_id, "decision": decision.decision, "now": datetime.now(UTC)}
    if connection.scalar(_DECIDE, values) is None:
        raise AlreadyDecided(decision.approval_id)


def expire(connection: Connection, thread_id: str, *, is_final: bool = True) -> None:
    """Make the thread's waiting runs expire, for good or until `wait_again` or `forget`.

    The caller has checked the owner of the thread, as for the functions below.
    """
    connection.execute(EXPIRE if is_final else _EXPIRE_FOR_NOW, {"thread": thread_id, "now": datetime.now(UTC)})


def wait_again(connection: Connection, thread_id: str) -> None:
    """Let runs wait again that have expired, but not for good."""
    connection.execute(_WAIT_AGAIN, {"thread": thread_id})


def forget(connection: Connection, thread_id: str) -> None:
    """Make expired runs stay expired, and delete their states."""
    connection.execute(_FORGET_EXPIRED, {"thread": thread_id})


def _load(connection: Connection, thread_id: str, approval_id: str, context: HasUser) -> PausedRun:
    row = connection.execute(_OF_APPROVAL, _of_approval(thread_id, approval_id, context)).one_or_none()
    if row is None:
        raise NotFound("Approval", approval_id)
    return _run(connection, row, load_json(row.state))


def _of_approval(thread_id: str, approval_id: str, context: HasUser) -> dict[str, str]:
    return {"thread": thread_id, "approval": approval_id, **owner_values(context)}


def _run(connection: Connection, row: AnyRow, state: Any) -> PausedRun:
    calls = [Approval(**call._mapping) for call in connection.execute(_CALLS, {"run": row.id})]
    return PausedRun(row.id, row.thread_id, row.status, row.agent, state, calls)


_RUN = select(r.id, r.thread_id, r.status, r.agent, r.state)
_BY_APPROVAL = (a.id == bindparam("approval"), owned(paused_runs))
_OF_APPROVAL = _RUN.join(approvals, a.run_id == r.id).where(*_BY_APPROVAL)
_RUN_OF_APPROVAL = select(r.id).join(approvals, a.run_id == r.id).where(*_BY_APPROVAL)
_OF_RUN = _RUN.where(r.id == bindparam("run"), owned(paused_runs))
_WAITING = (  # a state may be megabytes
    select(r.id, r.thread_id, r.status, r.agent).where(r.status == "waiting", owned(paused_runs)).order_by(r.created_at)
)
_CALLS = (
    select(a.id, a.item_id, a.call_id, a.tool, a.arguments, a.run_id, a.decision)
    .where(a.run_id == bindparam("run"))
    .order_by(a.place)
)
_LOCK = (
    update(paused_runs).where(r.id == bindparam("run"), r.status == "waiting").values(status=r.status).returning(r.id)
)
_DECIDE = (
    update(approvals)
    .where(a.id == bindparam("approval"), a.decision.is_(None))
    .values(decision=bindparam("decision"), decided_at=bindparam("now", type_=UtcDateTime))
    .returning(a.id)
)
_UNDECIDED = select(a.id).where(a.run_id == r.id, a.decision.is_(None)).correlate(paused_runs)
_RESUME = (
    update(paused_runs)
    .where(
        r.id == bindparam("run"),
        r.status == "waiting",
        ~_UNDECIDED.exists(),
        owned(paused_runs),
    )
    .values(status="resumed", state=None, ended_at=bindparam("now", type_=UtcDateTime))
    .returning(r.id)
)
_EXPIRE_FOR_NOW = (
    update(paused_runs)
    .where(r.thread_id == bindparam("thread"), r.status == "waiting")
    .values(status="expired", ended_at=bindparam("now", type_=UtcDateTime))
)
EXPIRE = _EXPIRE_FOR_NOW.values(state=None)
_EXPIRED = (r.thread_id == bindparam("thread"), r.status == "expired", r.state.is_not(None))
_WAIT_AGAIN = update(paused_runs).where(*_EXPIRED).values(status="waiting", ended_at=None)
_FORGET_EXPIRED = update(paused_runs).where(*_EXPIRED).values(state=None)
