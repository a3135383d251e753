"""Paused runs: a call is decided once, a decided run is taken once, and a new message makes waiting runs expire."""

import asyncio
from typing import Any

import pytest
from chatkit.types import ThreadMetadata

from chatkit_store import AlreadyDecided, ApprovalDecision, Decision, NewApproval, SqlStore, TurnEnd, TurnStore, new_id
from tests.store.conftest import Query
from tests.store.factories import ALICE, User, make_turn, user_message

STATE: dict[str, Any] = {"a": ["run", "\u0000"], "n": 1}


async def pause(store: SqlStore[User], thread: ThreadMetadata, count: int = 1) -> list[str]:
    """Save a run that waits for `count` calls; return the ids of their approvals."""
    calls = [
        NewApproval(id=new_id("apr"), item_id=f"item_{n}", call_id=f"call_{n}", tool="buy", arguments="{}")
        for n in range(count)
    ]
    await store.approvals.pause(thread.id, new_id("run"), "Clerk", STATE, calls, ALICE)
    return [call.id for call in calls]


async def decide(turns: TurnStore, thread: ThreadMetadata, approval_id: str, decision: Decision = "approved") -> None:
    """Decide a call like the turn of a click does."""
    turn = make_turn(thread.id, kind="threads.custom_action")
    await turns.start(turn, ALICE, decisions=[ApprovalDecision(approval_id, decision)])
    await turns.finish(turn.id, TurnEnd("completed"), ALICE)


async def test_fully_decided_run_is_taken_once(store: SqlStore[User], turns: TurnStore, thread: ThreadMetadata) -> None:
    first, second = await pause(store, thread, 2)
    await decide(turns, thread, second, "rejected")
    (waiting,) = await store.approvals.waiting(thread.id, ALICE)
    assert ([call.decision for call in waiting.approvals], waiting.is_decided) == ([None, "rejected"], False)
    assert not await store.approvals.take(thread.id, waiting.id, ALICE)
    await decide(turns, thread, first)
    (waiting,) = await store.approvals.waiting(thread.id, ALICE)
    assert (waiting.is_decided, waiting.state) == (True, None)
    assert (await store.approvals.load_run(thread.id, waiting.id, ALICE)).state == STATE
    taken = await asyncio.gather(*(store.approvals.take(thread.id, waiting.id, ALICE) for _ in range(5)))
    assert sorted(taken) == [False] * 4 + [True]
    run = await store.approvals.load(thread.id, first, ALICE)
    assert (run.status, run.state) == ("resumed", None)


async def test_call_is_decided_once_and_a_refused_decision_writes_nothing(
    store: SqlStore[User], turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    first, _ = await pause(store, thread, 2)
    await decide(turns, thread, first)
    before = await sql("SELECT * FROM turns"), await sql("SELECT * FROM approvals ORDER BY id")
    with pytest.raises(AlreadyDecided):
        await decide(turns, thread, first, "rejected")
    assert (await sql("SELECT * FROM turns"), await sql("SELECT * FROM approvals ORDER BY id")) == before


async def test_concurrent_decisions_complete_the_run(
    store: SqlStore[User], turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    """Each sees the others. Their turns share a thread, which runs one at a time, so some are retried."""
    ids = await pause(store, thread, 5)
    results = await asyncio.gather(*(decide(turns, thread, id) for id in [*ids, *ids]), return_exceptions=True)
    while any(isinstance(result, Exception) for result in results):
        undecided = [row[0] for row in await sql("SELECT id FROM approvals WHERE decision IS NULL")]
        if not undecided:
            break
        results = await asyncio.gather(*(decide(turns, thread, id) for id in undecided), return_exceptions=True)
    assert [run.is_decided for run in await store.approvals.waiting(thread.id, ALICE)] == [True]


async def test_user_message_makes_runs_expire_and_an_action_does_not(
    store: SqlStore[User], turns: TurnStore, thread: ThreadMetadata
) -> None:
    (approval,) = await pause(store, thread)
    action = make_turn(thread.id, kind="threads.custom_action")
    await turns.start(action, ALICE)
    await turns.finish(action.id, TurnEnd("completed"), ALICE)
    assert [run.status for run in await store.approvals.waiting(thread.id, ALICE)] == ["waiting"]
    message = user_message()
    await turns.start(make_turn(thread.id, user_item_id=message.id), ALICE, items=[message])
    assert await store.approvals.waiting(thread.id, ALICE) == []
    run = await store.approvals.load(thread.id, approval, ALICE)
    assert (run.status, run.state) == ("expired", None)
    with pytest.raises(AlreadyDecided):
        await turns.start(make_turn(thread.id), ALICE, decisions=[ApprovalDecision(approval, "approved")])
