"""Running turns of several workers: one per thread, one per request, and adopted when their worker is gone."""

import asyncio

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    DuplicateRequest,
    HeartbeatStore,
    RequestKey,
    SqlStore,
    ThreadBusy,
    TurnEnd,
    TurnStore,
    WorkerRecord,
)
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, assistant_message, make_thread, make_turn, text_of, user_message
from tests.store.locks import waiting_for_locks

Store = SqlStore[User]

HERE = WorkerRecord("here", "a machine", "1:1")
THERE = WorkerRecord("there", "another machine", "2:2")
KEY = RequestKey("the same bytes", 60)


async def texts(store: Store, thread_id: str) -> list[str]:
    return [text_of(item) for item in (await store.load_thread_items(thread_id, None, 100, "asc", ALICE)).data]


async def test_second_turn_on_a_thread_is_refused_and_writes_nothing(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    first = make_turn(thread.id)
    await turns.start(first, ALICE, items=[user_message("one")])
    with pytest.raises(ThreadBusy) as refused:
        await turns.start(make_turn(thread.id), ALICE, items=[user_message("two")])
    assert refused.value.turn_id == first.id
    assert await texts(store, thread.id) == ["one"]
    await turns.finish(first.id, TurnEnd("completed"), ALICE)
    await turns.start(make_turn(thread.id), ALICE, items=[user_message("two")])
    assert await texts(store, thread.id) == ["one", "two"]


async def test_one_of_many_concurrent_turns_starts(store: Store, turns: TurnStore, thread: ThreadMetadata) -> None:
    starts = [turns.start(make_turn(thread.id), ALICE, items=[user_message(str(n))]) for n in range(6)]
    ends = await asyncio.gather(*starts, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == [*["ThreadBusy"] * 5, "list"]
    assert len(await texts(store, thread.id)) == 1


async def test_one_of_many_concurrent_equal_requests_creates_a_thread(turns: TurnStore, sql: Query) -> None:
    new = [make_thread() for _ in range(6)]
    starts = [turns.start(make_turn(t.id), ALICE, new_thread=t, items=[user_message()], key=KEY) for t in new]
    ends = await asyncio.gather(*starts, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == [*["DuplicateRequest"] * 5, "list"]
    (row,) = await sql("SELECT id FROM turns")
    assert {end.turn_id for end in ends if isinstance(end, DuplicateRequest)} == {row.id}
    assert len(await sql("SELECT id FROM threads")) == 1


async def test_request_key_is_valid_while_its_turn_runs_and_is_recent(
    turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    first, second = make_turn(thread.id), make_turn(thread.id)
    await turns.start(first, ALICE, key=KEY)
    assert await turns.find_duplicate(KEY, ALICE) == first.id
    assert await turns.find_duplicate(RequestKey(KEY.value, 0), ALICE) is None
    with pytest.raises(DuplicateRequest):
        await turns.start(second, ALICE, key=KEY)
    await turns.finish(first.id, TurnEnd("completed"), ALICE)
    assert await turns.find_duplicate(KEY, ALICE) is None
    await turns.start(second, ALICE, key=KEY)
    assert await turns.find_duplicate(KEY, ALICE) == second.id
    assert [row.id for row in await sql("SELECT id FROM turns WHERE request_key IS NOT NULL")] == [second.id]


async def test_request_key_may_outlive_its_turn(turns: TurnStore, thread: ThreadMetadata) -> None:
    key, first = RequestKey("idempotency", 60, ended_seconds=60), make_turn(thread.id)
    await turns.start(first, ALICE, key=key)
    await turns.finish(first.id, TurnEnd("completed"), ALICE)
    with pytest.raises(DuplicateRequest) as refused:
        await turns.start(make_turn(thread.id), ALICE, key=key)
    assert refused.value.turn_id == first.id


async def test_turn_of_another_worker_is_found_and_signalled(turns: TurnStore, thread: ThreadMetadata) -> None:
    turn = make_turn(thread.id, worker_id="there")
    assert await turns.running_on(thread.id, ALICE) is None
    await turns.start(turn, ALICE)
    running = await turns.running_on(thread.id, ALICE)
    assert running is not None
    assert (running.id, running.worker_id) == (turn.id, "there")
    assert await turns.running_on(thread.id, BOB) is None
    await turns.join(turn.id, ALICE)
    await turns.count_reader(turn.id, ALICE)
    assert (await turns.load(turn.id, ALICE)).signal == "keep"
    await turns.ask_to_stop(turn.id, "user", ALICE)
    await turns.ask_to_stop(turn.id, "superseded", ALICE)
    await turns.join(turn.id, ALICE)
    assert (await turns.load(turn.id, ALICE)).signal == "user", "the first reason wins"
    assert await turns.finish(turn.id, TurnEnd("stopped", readers=2), ALICE, worker_id="there")
    ended = await turns.load(turn.id, ALICE)
    assert (ended.readers, ended.signal) == (3, None)
    await turns.ask_to_stop(turn.id, "user", ALICE)
    assert (await turns.load(turn.id, ALICE)).signal is None


async def test_worker_cannot_finish_a_turn_that_another_adopted(
    store: Store, turns: TurnStore, heartbeats: HeartbeatStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id, worker_id="there")
    await turns.start(turn, ALICE)
    await heartbeats.beat(THERE)
    await heartbeats.beat(HERE)
    assert await turns.adopt("here") == [], "its worker is alive"
    await heartbeats.forget(["there"])
    (adopted,) = await turns.adopt("here")
    assert (adopted.id, adopted.worker_id, adopted.user_id) == (turn.id, "here", "alice")
    assert await turns.adopt("here") == []
    assert await turns.running_by("here") == {turn.id}
    late = assistant_message("late")
    assert not await turns.finish(turn.id, TurnEnd("completed"), ALICE, items=[late], worker_id="there")
    assert await texts(store, thread.id) == []
    assert await turns.finish(
        turn.id, TurnEnd("interrupted"), ALICE, items=[assistant_message("so far")], worker_id="here"
    )
    assert await texts(store, thread.id) == ["so far"]
    assert await turns.running_by("here") == frozenset()


async def test_two_workers_never_adopt_the_same_turn(
    turns: TurnStore, store: Store, heartbeats: HeartbeatStore
) -> None:
    for _ in range(4):
        thread = make_thread()
        await store.save_thread(thread, ALICE)
        await turns.start(make_turn(thread.id, worker_id="dead"), ALICE)
    await heartbeats.beat(HERE)
    await heartbeats.beat(THERE)
    adopted = await asyncio.gather(*(turns.adopt(worker) for worker in ("here", "there", "here", "there")))
    assert len([record.id for records in adopted for record in records]) == 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_turn_is_not_adopted_again_from_a_worker_that_has_just_started(
    engine: AsyncEngine, turns: TurnStore, heartbeats: HeartbeatStore, thread: ThreadMetadata, sql: Query
) -> None:
    """The second statement began before the first worker's heartbeat, so it does not see that this one is alive."""
    turn = make_turn(thread.id, worker_id="dead")
    await turns.start(turn, ALICE)
    await heartbeats.beat(THERE)
    await sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF pg_try_advisory_xact_lock(1) THEN PERFORM pg_advisory_xact_lock(2); END IF; RETURN NULL; END'"
    )
    await sql("CREATE TRIGGER wait BEFORE UPDATE ON turns FOR EACH STATEMENT EXECUTE FUNCTION wait()")
    async with engine.connect() as blocker:
        await blocker.execute(text("SELECT pg_advisory_xact_lock(2)"))
        late = asyncio.ensure_future(turns.adopt("there"))
        await waiting_for_locks(engine)
        await heartbeats.beat(HERE)
        assert [record.id for record in await turns.adopt("here")] == [turn.id]
        await blocker.rollback()
    assert await late == []
    assert (await turns.load(turn.id, ALICE)).worker_id == "here"


async def test_worker_does_not_take_back_what_another_adopted(
    turns: TurnStore, heartbeats: HeartbeatStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id, worker_id="there")
    await turns.start(turn, ALICE)
    await heartbeats.beat(HERE)
    await heartbeats.beat(THERE)
    assert await turns.adopt("here", [turn.id]) == []


async def test_worker_adopts_its_own_lost_turn(
    turns: TurnStore, heartbeats: HeartbeatStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id, worker_id="here")
    await turns.start(turn, ALICE)
    await heartbeats.beat(HERE)
    assert [record.id for record in await turns.adopt("here", [turn.id])] == [turn.id]


async def test_finish_deletes_unfinished_items(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    turn, empty, open_, done = (
        make_turn(thread.id),
        assistant_message(""),
        assistant_message("op"),
        assistant_message("done"),
    )
    await turns.start(turn, ALICE, items=[user_message("q")])
    still_open = [empty.id, open_.id]
    await store.add_thread_items(thread.id, [empty, open_, done], ALICE, turn_id=turn.id, still_open=still_open)
    assert await store.saved_ids(thread.id, [empty.id, done.id, "msg_no"], ALICE) == {empty.id: True, done.id: False}
    await turns.finish(turn.id, TurnEnd("stopped"), ALICE, items=[assistant_message("open", id=open_.id)])
    assert await texts(store, thread.id) == ["q", "open", "done"]
    assert await sql("SELECT id FROM thread_items WHERE open") == []


async def test_heartbeat_returns_the_other_workers_and_their_silence(heartbeats: HeartbeatStore) -> None:
    assert await heartbeats.beat(HERE) == []
    (other,) = await heartbeats.beat(THERE)
    assert (other.id, other.host, other.process) == ("here", "a machine", "1:1")
    assert 0 <= other.silence < 60
    assert [worker.id for worker in await heartbeats.beat(HERE)] == ["there"]
    await heartbeats.forget(["there", "nobody"])
    assert await heartbeats.beat(HERE) == []
