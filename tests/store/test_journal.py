"""The journal's rows: written for many turns at once, read in order, pruned after the end."""

from typing import Any

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import Entry, JournalStore, NotFound, SqlStore, StoreError, TurnEnd, TurnStore
from chatkit_store.journal import Excerpt, Signal
from tests.statements import counted
from tests.store.conftest import Query
from tests.store.factories import ALICE, User, make_thread, make_turn


async def test_entries_are_read_in_order_from_any_number(
    turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id)
    await turns.start(turn, ALICE)
    entries = [Entry(turn.id, seq, f'{{"n":{seq}}}') for seq in (2, 5, 9)]
    await journal.write(entries[:2], "here")
    await journal.write(entries[2:], "here")
    assert (await journal.read(turn.id, 0, ALICE)).entries == entries
    assert (await journal.read(turn.id, 2, ALICE)).entries == entries[1:]
    assert (await journal.read(turn.id, 4, ALICE)).entries == entries[1:]
    assert (await journal.read(turn.id, 9, ALICE)).entries == []
    assert (await journal.read(turn.id, 9, ALICE)).status == "running"
    await turns.finish(turn.id, TurnEnd("stopped"), ALICE)
    assert (await journal.read(turn.id, 9, ALICE)).status == "stopped"


async def test_writing_a_batch_again_changes_nothing(
    turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    """A batch is repeated after a lost connection, and may have been committed before."""
    turn = make_turn(thread.id)
    await turns.start(turn, ALICE)
    entry = Entry(turn.id, 1, "{}")
    await journal.write([entry], "here")
    await journal.write([entry, Entry(turn.id, 2, "[]")], "here")
    assert [entry.seq for entry in (await journal.read(turn.id, 0, ALICE)).entries] == [1, 2]


async def test_a_batch_is_written_as_a_whole_or_not_at_all(
    turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id)
    await turns.start(turn, ALICE)
    refused: Any = None
    with pytest.raises(StoreError, match="refused"):
        await journal.write([Entry(turn.id, 1, "{}"), Entry(turn.id, 2, refused)], "here")
    assert (await journal.read(turn.id, 0, ALICE)).entries == []
    await journal.write([Entry(turn.id, 1, "{}")], "here")
    assert (await journal.read(turn.id, 0, ALICE)).entries == [Entry(turn.id, 1, "{}")]


async def test_entries_of_a_deleted_thread_are_skipped(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    other = make_thread()
    await store.save_thread(other, ALICE)
    deleted, kept = make_turn(other.id), make_turn(thread.id)
    await turns.start(deleted, ALICE)
    await turns.start(kept, ALICE)
    await store.delete_thread(other.id, ALICE)
    await journal.write([Entry(deleted.id, 1, "{}"), Entry(kept.id, 1, "{}")], "here")
    assert len((await journal.read(kept.id, 0, ALICE)).entries) == 1
    with pytest.raises(NotFound):
        await journal.read(deleted.id, 0, ALICE)


async def test_entry_erases_earlier_entries_by_prefix(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    other = make_thread()
    await store.save_thread(other, ALICE)
    turn, another = make_turn(thread.id), make_turn(other.id)
    await turns.start(turn, ALICE)
    await turns.start(another, ALICE)
    await journal.write([Entry(turn.id, 1, '["a_1",1]'), Entry(turn.id, 2, '["ax1",2]')], "here")
    same_batch = Entry(turn.id, 3, '["a_1",3]')
    removal = Entry(turn.id, 4, "removed", erases=('["a_1",', '["b",'))
    later = Entry(turn.id, 5, '["a_1",5]')
    of_another = Entry(another.id, 1, '["a_1",1]')
    for _ in range(2):  # a batch is repeated after a lost connection
        await journal.write([same_batch, removal, later, of_another], "here")
        assert [entry.seq for entry in (await journal.read(turn.id, 0, ALICE)).entries] == [2, 4, 5]
        assert [entry.seq for entry in (await journal.read(another.id, 0, ALICE)).entries] == [1]


async def test_write_returns_signals_to_own_running_turns(
    turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id, worker_id="here")
    await turns.start(turn, ALICE)
    assert await journal.write([], "here") == []
    await turns.join(turn.id, ALICE)
    assert await journal.write([], "here") == [Signal(turn.id, None)]
    await turns.ask_to_stop(turn.id, "user", ALICE)
    assert await journal.write([Entry(turn.id, 1, "{}")], "here") == [Signal(turn.id, "user")]
    assert await journal.write([], "there") == []
    await turns.finish(turn.id, TurnEnd("stopped"), ALICE, worker_id="here")
    assert await journal.write([], "here") == []


async def test_only_turns_that_ended_long_ago_are_pruned(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, thread: ThreadMetadata, sql: Query
) -> None:
    other = make_thread()
    await store.save_thread(other, ALICE)
    ended, running = make_turn(thread.id), make_turn(other.id)
    for turn in (ended, running):
        await turns.start(turn, ALICE)
        await journal.write([Entry(turn.id, 1, "{}"), Entry(turn.id, 2, "{}")], "here")
    await turns.finish(ended.id, TurnEnd("completed"), ALICE)
    assert await journal.prune(3600) == 0
    assert await journal.prune(0) == 2
    assert {row.turn_id for row in await sql("SELECT turn_id FROM turn_events")} == {running.id}


async def test_the_entries_of_many_turns_are_read_with_one_statement(
    engine: AsyncEngine, store: SqlStore[User], turns: TurnStore, journal: JournalStore, thread: ThreadMetadata
) -> None:
    other = make_thread()
    await store.save_thread(other, ALICE)
    ended, running = make_turn(other.id), make_turn(thread.id)
    await turns.start(ended, ALICE)
    await turns.start(running, ALICE)
    entries = [Entry(turn.id, seq, f'{{"n":{seq}}}') for turn in (ended, running) for seq in (1, 2, 3)]
    await journal.write(entries, "here")
    await turns.finish(ended.id, TurnEnd("completed"), ALICE)
    with counted(engine) as statements:
        excerpts = await journal.read_all({ended.id: 1, running.id: 3, "turn_missing": 0})
    assert excerpts == {ended.id: Excerpt("completed", entries[1:3]), running.id: Excerpt("running", [])}
    assert len(statements) == 1


async def test_a_batch_without_anything_to_write_or_to_read_runs_no_statement(
    engine: AsyncEngine, journal: JournalStore
) -> None:
    with counted(engine) as statements:
        assert await journal.write([], "here", reads_signals=False) == []
        assert statements == []
        await journal.write([], "here")
    assert len(statements) == 1
