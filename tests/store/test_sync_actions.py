"""Of concurrent equal actions one run starts, and its answer is kept for a while."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import HeartbeatStore, NotFound, SqlStore, SyncAnswer, SyncRun, WorkerRecord, new_id
from chatkit_store.heartbeats import now
from chatkit_store.sync_actions import LONGEST_SECONDS
from chatkit_store.tables import sync_actions
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, make_thread

Store = SqlStore[User]
WORKER = WorkerRecord("here", "a machine", "1:1")


@pytest.fixture(autouse=True)
async def _worker(engine: AsyncEngine) -> None:
    await HeartbeatStore(engine).beat(WORKER)


def make_run(thread: ThreadMetadata, **fields: Any) -> SyncRun:
    return SyncRun(**{"id": new_id("act"), "key": "a click", "thread_id": thread.id, "worker_id": "here"} | fields)


async def age(engine: AsyncEngine, seconds: float) -> None:
    """Make all runs older."""
    async with engine.begin() as connection:
        then = await connection.run_sync(now) - timedelta(seconds=seconds)
        await connection.execute(update(sync_actions).values(began_at=then))


async def test_one_of_many_concurrent_runs_starts_and_the_others_get_it(store: Store, thread: ThreadMetadata) -> None:
    runs = [make_run(thread) for _ in range(6)]
    earlier = await asyncio.gather(*(store.sync_actions.begin(run, 60, ALICE) for run in runs))
    (first,) = (run for run, other in zip(runs, earlier, strict=True) if other is None)
    assert [other for other in earlier if other is not None] == [SyncAnswer(first.id, "running", None, "here")] * 5
    assert await store.sync_actions.begin(make_run(thread, key="another click"), 60, ALICE) is None


async def test_answer_is_valid_for_some_time_from_the_start(
    store: Store, thread: ThreadMetadata, engine: AsyncEngine
) -> None:
    first, second = make_run(thread), make_run(thread)
    assert await store.sync_actions.begin(first, 1, ALICE) is None
    await age(engine, 10)
    running = SyncAnswer(first.id, "running", None, "here")
    assert await store.sync_actions.begin(second, 1, ALICE) == running, "it is still running"
    assert await store.sync_actions.load(first.key, first.id, ALICE) == running
    await store.sync_actions.end(first, "done", '{"a":"b\\u0000"}', ALICE)
    done = SyncAnswer(first.id, "done", '{"a":"b\\u0000"}', "here")
    assert await store.sync_actions.load(first.key, first.id, ALICE) == done, "for callers that waited"
    assert await store.sync_actions.begin(second, 60, ALICE) == done
    assert await store.sync_actions.begin(second, 1, ALICE) is None
    assert await store.sync_actions.load(first.key, first.id, ALICE) is None
    await store.sync_actions.end(first, "failed", "{}", ALICE)
    assert await store.sync_actions.load(first.key, second.id, ALICE) == SyncAnswer(second.id, "running", None, "here")


async def test_abandoned_run_does_not_block_the_next(store: Store, thread: ThreadMetadata, engine: AsyncEngine) -> None:
    dead = make_run(thread, worker_id="dead")
    assert await store.sync_actions.begin(dead, 60, ALICE) is None
    assert await store.sync_actions.load(dead.key, dead.id, ALICE) is None
    stuck = make_run(thread)
    assert await store.sync_actions.begin(stuck, 60, ALICE) is None
    await age(engine, LONGEST_SECONDS + 1)
    assert await store.sync_actions.load(stuck.key, stuck.id, ALICE) is None
    assert await store.sync_actions.begin(make_run(thread), 60, ALICE) is None


async def test_only_a_running_run_is_forgotten(store: Store, thread: ThreadMetadata) -> None:
    first, second = make_run(thread), make_run(thread)
    assert await store.sync_actions.begin(first, 60, ALICE) is None
    assert not await store.sync_actions.forget(second.key, second.id, ALICE)
    assert await store.sync_actions.forget(first.key, first.id, ALICE)
    assert await store.sync_actions.begin(second, 60, ALICE) is None
    await store.sync_actions.end(second, "done", "{}", ALICE)
    assert not await store.sync_actions.forget(second.key, second.id, ALICE)
    assert await store.sync_actions.begin(first, 60, ALICE) == SyncAnswer(second.id, "done", "{}", "here")


async def test_expired_runs_are_pruned_and_deleted_with_their_thread(
    store: Store, thread: ThreadMetadata, engine: AsyncEngine, sql: Query
) -> None:
    await store.sync_actions.begin(make_run(thread), 60, ALICE)
    await age(engine, LONGEST_SECONDS + 1)
    await store.sync_actions.begin(make_run(thread, key="another"), 60, ALICE)
    assert await store.sync_actions.prune() == 1
    assert [row.key for row in await sql("SELECT key FROM sync_actions")] == ["another"]
    await store.delete_thread(thread.id, ALICE)
    assert await sql("SELECT key FROM sync_actions") == []
    with pytest.raises(NotFound):
        await store.sync_actions.begin(make_run(thread), 60, ALICE)


async def test_run_on_another_users_thread_is_not_found(store: Store, thread: ThreadMetadata) -> None:
    with pytest.raises(NotFound):
        await store.sync_actions.begin(make_run(thread), 60, BOB)
    with pytest.raises(NotFound):
        await store.sync_actions.begin(make_run(make_thread()), 60, ALICE)
