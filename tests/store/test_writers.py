"""Concurrent writers, and cancelled calls."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import pytest
from chatkit.types import FileAttachment, ThreadMetadata
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    Entry,
    JournalStore,
    NewApproval,
    NewTurn,
    NotFound,
    SqlStore,
    SyncRun,
    ThreadBusy,
    TurnEnd,
    TurnStore,
    new_id,
    open_engine,
)
from chatkit_store.database import Database
from tests.conftest import checked_out
from tests.store.conftest import Query
from tests.store.factories import ALICE, User, assistant_message, make_thread, make_turn, text_of, user_message
from tests.store.locks import waiting_for_locks

Store = SqlStore[User]
Writer = Callable[[AsyncEngine, NewTurn, str], Coroutine[None, None, None]]
"""Writes a row that refers to a turn's thread, or to the item of that id."""


async def test_twenty_writers_on_one_thread_get_consecutive_positions(
    store: Store, thread: ThreadMetadata, sql: Query
) -> None:
    async def write(writer: int) -> None:
        for n in range(25):
            await store.add_thread_item(thread.id, user_message(f"{writer}-{n}"), ALICE)

    await asyncio.gather(*(write(writer) for writer in range(20)))
    rows = await sql("SELECT position, text FROM thread_items ORDER BY position")
    assert [row.position for row in rows] == list(range(1, 501))
    for writer in range(20):
        texts = [row.text for row in rows if row.text.startswith(f"{writer}-")]
        assert texts == [f"{writer}-{n}" for n in range(25)]


async def test_writers_on_different_threads_do_not_interfere(store: Store) -> None:
    async def converse(n: int) -> list[str]:
        thread = make_thread()
        await store.save_thread(thread, ALICE)
        for k in range(10):
            await store.add_thread_items(thread.id, [user_message(f"{n}-{k}"), assistant_message(f"{n}-{k}")], ALICE)
        return [text_of(item) for item in (await store.load_thread_items(thread.id, None, 50, "asc", ALICE)).data]

    texts = await asyncio.gather(*(converse(n) for n in range(20)))
    assert texts == [[f"{n}-{k}" for k in range(10) for _ in "qa"] for n in range(20)]


async def test_two_engines_on_one_database_share_it(database_url: str, engine: AsyncEngine, store: Store) -> None:
    """Like two workers: only the database orders the writes of processes."""
    other_engine = open_engine(database_url)
    other: Store = SqlStore(other_engine)
    thread = make_thread()
    await store.save_thread(thread, ALICE)

    async def write(store: Store) -> None:
        for _ in range(25):
            await store.add_thread_item(thread.id, user_message(), ALICE)

    await asyncio.gather(*(write(each) for each in (store, other) for _ in range(4)))
    assert len((await store.load_thread_items(thread.id, None, 500, "asc", ALICE)).data) == 200
    assert checked_out(other_engine) == 0
    await other_engine.dispose()


async def test_item_written_concurrently_is_saved_once(store: Store, thread: ThreadMetadata) -> None:
    item = assistant_message()
    await asyncio.gather(*(store.add_thread_item(thread.id, item, ALICE) for _ in range(20)))
    assert len((await store.load_thread_items(thread.id, None, 50, "asc", ALICE)).data) == 1


async def test_writers_on_a_deleted_thread_get_not_found(store: Store, thread: ThreadMetadata) -> None:
    async def write() -> None:
        for _ in range(10):
            await store.add_thread_item(thread.id, user_message(), ALICE)

    writers = [asyncio.create_task(write()) for _ in range(5)]
    await asyncio.sleep(0)
    await store.delete_thread(thread.id, ALICE)
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert {type(result) for result in results} <= {NotFound, type(None)}
    with pytest.raises(NotFound):
        await store.load_thread(thread.id, ALICE)


async def test_cancelled_calls_leave_no_connection_and_no_half_transaction(
    store: Store, turns: TurnStore, thread: ThreadMetadata, engine: AsyncEngine, sql: Query
) -> None:
    """Each call is written as a whole or not at all, and has returned its connection when it raises."""
    for steps in range(40):
        calls = (
            store.add_thread_items(thread.id, [user_message(f"{steps}-{n}") for n in range(3)], ALICE),
            turns.start(make_turn(thread.id), ALICE, items=[user_message(f"turn {steps}-{n}") for n in range(3)]),
            store.load_thread_items(thread.id, None, 5, "desc", ALICE),
        )
        for call in calls:
            task = asyncio.ensure_future(call)
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert checked_out(engine) == 0
    assert (await sql("SELECT count(*) FROM thread_items"))[0][0] % 3 == 0
    count = (await sql("SELECT count(*) FROM thread_items WHERE turn_id IS NOT NULL"))[0][0]
    assert count == 3 * (await sql("SELECT count(*) FROM turns"))[0][0]


async def test_call_in_a_cancelled_anyio_scope_is_not_cut(
    store: Store, thread: ThreadMetadata, engine: AsyncEngine
) -> None:
    """Starlette cancels a response repeatedly until it ends, so a single `shield` is not enough (T1)."""
    with anyio.move_on_after(0.0005):
        while True:
            await store.add_thread_items(thread.id, [user_message(), assistant_message()], ALICE)
    assert checked_out(engine) == 0
    page = await store.load_thread_items(thread.id, None, 500, "asc", ALICE)
    assert len(page.data) % 2 == 0


async def test_readers_wait_for_a_connection(store: Store, thread: ThreadMetadata) -> None:
    await store.add_thread_item(thread.id, user_message(), ALICE)
    pages = await asyncio.gather(*(store.load_thread_items(thread.id, None, 5, "asc", ALICE) for _ in range(200)))
    assert {len(page.data) for page in pages} == {1}


async def test_ending_and_starting_turn_do_not_deadlock(
    database_url: str, turns: TurnStore, thread: ThreadMetadata
) -> None:
    """PostgreSQL would abort one of them as a deadlock victim."""
    other_engine = open_engine(database_url)
    other, dice = TurnStore(other_engine), random.Random(7)

    async def end(turn_id: str) -> None:
        await asyncio.sleep(dice.uniform(0, 0.004))
        assert await turns.finish(turn_id, TurnEnd("stopped"), ALICE, items=[assistant_message("one")])

    async def start(turn: NewTurn) -> bool:
        await asyncio.sleep(dice.uniform(0, 0.004))
        with contextlib.suppress(ThreadBusy):  # a deadlock is `StoreUnavailable`
            await other.start(turn, ALICE, items=[user_message("two"), user_message("three")])
            return True
        return False

    for _ in range(30):
        first, second = make_turn(thread.id), make_turn(thread.id)
        await turns.start(first, ALICE)
        async with asyncio.timeout(10):
            _, has_started = await asyncio.gather(end(first.id), start(second))
        if has_started:
            await turns.finish(second.id, TurnEnd("completed"), ALICE)
    await other_engine.dispose()


async def test_turn_starts_among_quick_turns_of_other_workers(
    engine: AsyncEngine, store: Store, turns: TurnStore, thread: ThreadMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each try another turn runs, which has ended when it is looked up."""
    running = [make_turn(thread.id) for _ in range(6)]
    await turns.start(running[0], ALICE)
    look_up = TurnStore._explain_clash

    async def look_up_late(self: TurnStore, *which: Any) -> None:
        await turns.finish(running.pop(0).id, TurnEnd("completed"), ALICE)
        await look_up(self, *which)
        if running:
            await turns.start(running[0], ALICE)

    monkeypatch.setattr(TurnStore, "_explain_clash", look_up_late)
    await turns.start(make_turn(thread.id), ALICE, items=[user_message()])
    assert not running


async def add_item(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    await SqlStore[User](engine).add_thread_item(turn.thread_id, assistant_message(), ALICE)


async def start_turn(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    await TurnStore(engine).start(make_turn(turn.thread_id), ALICE, items=[user_message()])


async def add_attachment(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    attachment = FileAttachment(id=new_id("atc"), name="a", mime_type="text/plain", thread_id=turn.thread_id)
    await SqlStore[User](engine).save_attachment(attachment, ALICE)


async def vote(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    await SqlStore[User](engine).add_feedback(turn.thread_id, [item_id], "positive", ALICE)


async def begin_sync_action(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    run = SyncRun(new_id("act"), "a click", turn.thread_id, "here")
    await SqlStore[User](engine).sync_actions.begin(run, 60, ALICE)


async def pause(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    call = NewApproval(id=new_id("apr"), item_id=item_id, call_id="call", tool="buy", arguments="{}")
    await SqlStore[User](engine).approvals.pause(turn.thread_id, new_id("run"), "Clerk", {}, [call], ALICE)


async def read_journal_after_writing(engine: AsyncEngine, turn: NewTurn, item_id: str) -> None:
    """The entries of the other turn of the batch are kept."""
    store, turns, journal = SqlStore[User](engine), TurnStore(engine), JournalStore(engine)
    other = make_turn(make_thread().id)
    await store.save_thread(make_thread(id=other.thread_id), ALICE)
    await turns.start(other, ALICE)
    await journal.write([Entry(turn.id, 1, "{}"), Entry(other.id, 1, "{}")], "here")
    assert len((await journal.read(other.id, 0, ALICE)).entries) == 1
    await journal.read(turn.id, 0, ALICE)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "write",
    [add_item, start_turn, add_attachment, vote, begin_sync_action, pause, read_journal_after_writing],
    ids=lambda function: function.__name__,
)
async def test_writer_beside_a_deletion_that_is_not_committed_gets_not_found(
    engine: AsyncEngine, store: Store, turns: TurnStore, thread: ThreadMetadata, write: Writer
) -> None:
    """It still sees the thread: a row that refers to it would violate a foreign key, which is no client's error."""
    turn, item = make_turn(thread.id), assistant_message()
    await turns.start(turn, ALICE, items=[item])
    async with engine.connect() as deletion:
        await deletion.execute(text("DELETE FROM threads WHERE id = :thread"), {"thread": thread.id})
        writing = asyncio.create_task(write(engine, turn, item.id))
        await waiting_for_locks(engine)
        await deletion.commit()
    with pytest.raises(NotFound):
        await writing


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_deleting_an_item_waits_for_the_thread_first(
    engine: AsyncEngine, store: Store, thread: ThreadMetadata
) -> None:
    """Votes and retries lock the thread, then its items: the other order would be a deadlock."""
    item = assistant_message()
    await store.add_thread_item(thread.id, item, ALICE)
    async with engine.connect() as voter:
        await voter.execute(text("SELECT 1 FROM threads FOR UPDATE"))
        deleting = asyncio.create_task(store.delete_thread_item(thread.id, item.id, ALICE))
        await waiting_for_locks(engine)
        await voter.execute(text("SELECT 1 FROM thread_items FOR KEY SHARE"))
        await voter.commit()
    await deleting
    with pytest.raises(NotFound):
        await store.load_item(thread.id, item.id, ALICE)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_at_once", [True, False], ids=["at once", "stepwise"])
@pytest.mark.parametrize("is_end", [True, False], ids=["end", "item"])
async def test_item_of_a_turn_that_was_adopted_while_it_waited_is_not_written(
    engine: AsyncEngine,
    store: Store,
    turns: TurnStore,
    thread: ThreadMetadata,
    sql: Query,
    is_at_once: bool,
    is_end: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its statement still sees the turn as its own."""
    turn, item = make_turn(thread.id, worker_id="old"), assistant_message(thread_id=thread.id)
    await turns.start(turn, ALICE, items=[user_message()])
    if not is_at_once:
        monkeypatch.setattr(Database, "writes_at_once", False)
    async with engine.connect() as voter:
        await voter.execute(text("SELECT 1 FROM threads FOR UPDATE"))
        if is_end:
            end = TurnEnd("completed")
            writing: asyncio.Future[object] = asyncio.ensure_future(
                turns.finish(turn.id, end, ALICE, items=[item], worker_id="old")
            )
        else:
            writing = asyncio.ensure_future(
                store.add_thread_items(thread.id, [item], ALICE, turn_id=turn.id, worker_id="old")
            )
        await waiting_for_locks(engine)
        assert [record.id for record in await turns.adopt("new")] == [turn.id]
        await voter.commit()
    if is_end:
        assert not await writing
    else:
        with pytest.raises(NotFound):
            await writing
    assert [row.type for row in await sql("SELECT type FROM thread_items")] == ["user_message"]


@pytest.fixture
async def unwatched(engine: AsyncEngine, sql: Query) -> AsyncIterator[AsyncEngine]:
    """An engine on PostgreSQL whose connections wait for ever in a deadlock, instead of ending it after a second."""
    await sql("ALTER ROLE postgres SET deadlock_timeout = '1h'")
    unwatched = open_engine(engine.url)
    yield unwatched
    await unwatched.dispose()
    await sql("ALTER ROLE postgres RESET deadlock_timeout")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_end", [True, False], ids=["end", "deletion"])
async def test_journal_and_the_end_or_the_deletion_of_a_turn_do_not_deadlock(
    engine: AsyncEngine, unwatched: AsyncEngine, store: Store, turns: TurnStore, sql: Query, is_end: bool
) -> None:
    first, second = (make_turn(make_thread().id, worker_id="here") for _ in range(2))
    for turn in (first, second):
        await store.save_thread(make_thread(id=turn.thread_id), ALICE)
        await turns.start(turn, ALICE)
    async with asyncio.timeout(20):
        async with engine.connect() as blocker:
            await blocker.execute(text("SELECT 1 FROM turns WHERE id = :turn FOR UPDATE"), {"turn": second.id})
            journal = JournalStore(unwatched)
            writing = asyncio.create_task(journal.write([], "here", {first.id: []}, [second.id, first.id]))
            await waiting_for_locks(engine)
            if is_end:
                end = TurnStore(unwatched).finish(first.id, TurnEnd("completed"), ALICE, worker_id="here")
                other: asyncio.Future[object] = asyncio.ensure_future(end)
            else:
                other = asyncio.ensure_future(Store(unwatched).delete_thread(first.thread_id, ALICE))
            await waiting_for_locks(engine, 2)
            await blocker.commit()
        await asyncio.gather(writing, other)
    rows = await sql("SELECT id, readers FROM turns")
    assert {row.id: row.readers for row in rows} == {second.id: 1} | ({first.id: 1} if is_end else {})


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_retry_survives_a_deadlock_with_a_deletion_by_hand(
    engine: AsyncEngine, store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    """That locks the item first, and then, in a trigger, the thread."""
    question, answer = user_message(), assistant_message()
    await store.add_thread_items(thread.id, [question, answer, user_message()], ALICE)
    async with engine.connect() as by_hand:
        await by_hand.execute(text("SELECT 1 FROM thread_items WHERE id = :item FOR UPDATE"), {"item": answer.id})
        starting = asyncio.create_task(turns.start(make_turn(thread.id), ALICE, replace_after=question.id))
        await waiting_for_locks(engine)
        with contextlib.suppress(DBAPIError):  # PostgreSQL may end either
            await by_hand.execute(text("DELETE FROM thread_items WHERE id = :item"), {"item": answer.id})
            await by_hand.commit()
    assert await starting
