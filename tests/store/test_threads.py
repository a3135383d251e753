import gc
import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest
from chatkit.types import ClosedStatus, FileAttachment, LockedStatus, Page, Thread, ThreadMetadata
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import IdClash, NotFound, SqlStore, TurnStore, new_id
from chatkit_store.database import Database
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, NOON, User, make_thread, make_turn, user_message

Store = SqlStore[User]


async def test_saved_thread_loads_equal(store: Store) -> None:
    thread = make_thread(
        title="Trip",
        status=LockedStatus(reason="paid"),
        allowed_image_domains=["example.com"],
        metadata={"a": [1, None, {"b": "ü"}]},
    )
    await store.save_thread(thread, ALICE)
    assert await store.load_thread(thread.id, ALICE) == thread


async def test_each_load_returns_new_objects_and_pages(store: Store, thread: ThreadMetadata) -> None:
    """chatkit modifies the pages and threads it gets (T29)."""
    first = await store.load_threads(10, None, "asc", ALICE)
    first.data[0].title = "changed here only"
    first.data.clear()
    second = await store.load_threads(10, None, "asc", ALICE)
    assert second.data == [thread]


async def test_rename_during_a_stream_survives_what_the_agent_saves(store: Store, thread: ThreadMetadata) -> None:
    """The agent works on an object that was loaded before the rename (T15)."""
    streaming = await store.load_thread(thread.id, ALICE)
    renamed = await store.load_thread(thread.id, ALICE)
    renamed.title = "My name for it"
    await store.save_thread(renamed, ALICE)
    streaming.metadata["tokens"] = 12
    await store.save_thread(streaming, ALICE)
    streaming.status = ClosedStatus(reason="done")
    await store.save_thread(streaming, ALICE)
    loaded = await store.load_thread(thread.id, ALICE)
    assert (loaded.title, loaded.metadata, loaded.status) == (
        "My name for it",
        {"tokens": 12},
        ClosedStatus(reason="done"),
    )


async def test_later_of_two_changes_to_the_same_column_wins(store: Store, thread: ThreadMetadata) -> None:
    first, second = await store.load_thread(thread.id, ALICE), await store.load_thread(thread.id, ALICE)
    first.title, second.title = "first", "second"
    await store.save_thread(first, ALICE)
    await store.save_thread(second, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title == "second"
    second.title = None
    await store.save_thread(second, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title is None


async def test_threads_of_a_page_have_a_baseline(store: Store, thread: ThreadMetadata) -> None:
    listed = (await store.load_threads(10, None, "desc", ALICE)).data[0]
    thread.title = "renamed"
    await store.save_thread(thread, ALICE)
    listed.metadata["x"] = 1
    await store.save_thread(listed, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title == "renamed"


async def test_object_without_a_baseline_writes_every_column(store: Store, thread: ThreadMetadata) -> None:
    thread.title, thread.metadata = "old", {"a": 1}
    await store.save_thread(thread, ALICE)
    await store.save_thread(thread.model_copy(update={"title": None, "metadata": {}}), ALICE)
    loaded = await store.load_thread(thread.id, ALICE)
    assert (loaded.title, loaded.metadata) == (None, {})


async def test_saving_a_thread_with_items_writes_no_items_and_no_old_title(
    store: Store, thread: ThreadMetadata, sql: Query
) -> None:
    """On `threads.create` chatkit saves a copy first, and the `Thread` itself after the stream (T12, T15)."""
    thread_with_items = Thread(**thread.model_dump(), items=Page(data=[user_message()]))
    thread.title = "renamed during the stream"
    await store.save_thread(thread, ALICE)
    thread_with_items.metadata["tokens"] = 7
    await store.save_thread(thread_with_items, ALICE)
    loaded = await store.load_thread(thread.id, ALICE)
    assert (type(loaded), loaded.title, loaded.metadata) == (ThreadMetadata, "renamed during the stream", {"tokens": 7})
    assert await sql("SELECT id FROM thread_items") == []
    thread_with_items.title = None
    thread_with_items.status = ClosedStatus()
    await store.save_thread(thread_with_items, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title == "renamed during the stream"


async def test_thread_that_a_turn_created_has_a_baseline(store: Store, turns: TurnStore) -> None:
    thread = make_thread()
    await turns.start(make_turn(thread.id), ALICE, new_thread=thread, items=[user_message()])
    renamed = await store.load_thread(thread.id, ALICE)
    renamed.title = "renamed"
    await store.save_thread(renamed, ALICE)
    thread.metadata["x"] = 1
    await store.save_thread(thread, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title == "renamed"


async def test_baseline_leaves_the_object_unchanged_and_is_dropped_with_it(store: Store, engine: AsyncEngine) -> None:
    thread = make_thread(title="a")
    copy = thread.model_copy(deep=True)
    await store.save_thread(thread, ALICE)
    assert thread == copy
    assert thread.model_dump() == copy.model_dump()
    assert vars(thread) == vars(copy)
    assert len(Database(engine).baselines) == 1
    del thread
    gc.collect()
    assert len(Database(engine).baselines) == 0


async def test_saving_a_deleted_thread_does_not_create_it_again(store: Store, thread: ThreadMetadata) -> None:
    await store.delete_thread(thread.id, ALICE)
    thread.title = "ghost"
    with pytest.raises(NotFound, match=thread.id):
        await store.save_thread(thread, ALICE)
    assert (await store.load_threads(10, None, "asc", ALICE)).data == []


async def test_thread_id_of_another_user_clashes_and_changes_nothing(store: Store, thread: ThreadMetadata) -> None:
    with pytest.raises(IdClash, match=thread.id):
        await store.save_thread(make_thread(id=thread.id, title="Bob's"), BOB)
    with pytest.raises(NotFound):
        await store.save_thread(thread, BOB)
    assert (await store.load_thread(thread.id, ALICE)).title is None


async def test_times_are_loaded_as_aware_utc(store: Store) -> None:
    """chatkit's own times are naive and local (T17, T18)."""
    local = datetime.now()  # noqa: DTZ005 - like chatkit's
    east = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    for time, expected in ((local, local.astimezone(UTC)), (east, datetime(2026, 2, 28, 20, 30, tzinfo=UTC))):
        thread = make_thread(created_at=time)
        await store.save_thread(thread, ALICE)
        thread_time = (await store.load_thread(thread.id, ALICE)).created_at
        assert (thread_time, thread_time.tzinfo) == (expected, UTC)
        item = user_message(created_at=time)
        await store.add_thread_item(thread.id, item, ALICE)
        item_time = (await store.load_item(thread.id, item.id, ALICE)).created_at
        assert (item_time, item_time.utcoffset()) == (expected, timedelta(0))


async def test_times_in_sql_are_readable_by_date_functions_and_people(
    store: Store, sql: Query, engine: AsyncEngine
) -> None:
    await store.save_thread(make_thread(created_at=NOON), ALICE)
    if engine.dialect.name == "sqlite":
        rows = await sql("SELECT created_at, datetime(created_at), strftime('%H', created_at) FROM threads")
        assert [tuple(row) for row in rows] == [("2026-11-23 12:00:00.000000Z", "2026-11-23 12:00:00", "12")]
        await sql("UPDATE threads SET created_at = datetime('2026-01-02 03:04')")
        expected = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
        assert (await store.load_threads(1, None, "asc", ALICE)).data[0].created_at == expected
    else:
        rows = await sql("SELECT created_at, pg_typeof(created_at)::text FROM threads")
        assert [tuple(row) for row in rows] == [(NOON, "timestamp with time zone")]


async def test_threads_are_listed_in_order_of_insertion_despite_equal_times(store: Store) -> None:
    threads = [make_thread(title=str(n)) for n in range(5)]
    for thread in threads:
        await store.save_thread(thread, ALICE)
    await store.save_thread(make_thread(title="Bob's"), BOB)
    assert await _titles(store, "asc") == ["0", "1", "2", "3", "4"]
    assert await _titles(store, "desc") == ["4", "3", "2", "1", "0"]


async def _titles(store: Store, order: str) -> list[str | None]:
    """Return the titles of all of Alice's threads, loaded two at a time."""
    titles, after = [], None
    while True:
        page = await store.load_threads(2, after, order, ALICE)
        titles += [thread.title for thread in page.data]
        if not page.has_more:
            return titles
        assert page.after == page.data[-1].id
        after = page.after


async def test_position_of_a_deleted_thread_is_not_reused(store: Store, sql: Query) -> None:
    threads = [make_thread(), make_thread()]
    await store.save_thread(threads[0], ALICE)
    before = (await sql("SELECT max(position) FROM threads"))[0][0]
    await store.delete_thread(threads[0].id, ALICE)
    await store.save_thread(threads[1], ALICE)
    assert (await sql("SELECT max(position) FROM threads"))[0][0] > before


async def test_unknown_thread_cursor_is_not_found(store: Store, thread: ThreadMetadata) -> None:
    with pytest.raises(NotFound, match="thr_gone"):
        await store.load_threads(10, "thr_gone", "asc", ALICE)
    assert (await store.load_threads(10, thread.id, "asc", ALICE)).data == []


async def test_deleting_a_thread_deletes_everything_in_it(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    other = make_thread()
    await store.save_thread(other, ALICE)
    for owner in (thread, other):
        item, turn = user_message(), make_turn(owner.id)
        await turns.start(turn, ALICE, items=[item])
        await store.add_feedback(owner.id, [item.id], "positive", ALICE)
        file = FileAttachment(id=new_id("atc"), name="a", mime_type="a/b", thread_id=owner.id)
        await store.save_attachment(file, ALICE)
        event = "INSERT INTO turn_events VALUES (:turn, 1, '{}', '2026-11-23 12:00:00Z')"
        await sql(event, turn=turn.id)
    await store.delete_thread(thread.id, ALICE)
    tables = ("threads", "thread_items", "turns", "turn_events", "attachments", "feedback")
    assert {table: len(await sql(f"SELECT * FROM {table}")) for table in tables} == dict.fromkeys(tables, 1)


async def test_thread_with_an_unknown_status_is_read_as_locked(
    store: Store, thread: ThreadMetadata, sql: Query, caplog: pytest.LogCaptureFixture
) -> None:
    await sql("UPDATE threads SET status = 'frozen', metadata = '[]', status_reason = 'new'")
    caplog.set_level(logging.WARNING)
    loaded = await store.load_thread(thread.id, ALICE)
    assert (loaded.status, loaded.metadata) == (LockedStatus(reason="new"), {})
    assert thread.id in caplog.text
    loaded.title = "still"
    await store.save_thread(loaded, ALICE)
    assert (await sql("SELECT status FROM threads"))[0][0] == "frozen"


@pytest.mark.parametrize("first", ["first words", None], ids=["title", "no title"])
async def test_thread_is_named_only_while_it_has_the_expected_title(store: Store, first: str | None) -> None:
    thread = make_thread(title=first)
    await store.save_thread(thread, ALICE)
    older = await store.load_thread(thread.id, ALICE)
    named = await store.name_thread(thread.id, "A name", ALICE, instead_of=first)
    assert named is not None
    assert named == await store.load_thread(thread.id, ALICE)
    named.metadata["seen"] = "since it was named"  # only that is saved
    await store.name_thread(thread.id, "A name", ALICE, instead_of="A name")
    await store.save_thread(named, ALICE)
    assert (await store.load_thread(thread.id, ALICE)) == named
    assert not await store.name_thread(thread.id, "Another", ALICE, instead_of=first)
    assert await store.name_thread(thread.id, "A name", ALICE, instead_of=first), "as when it is named again"
    older.metadata["note"] = "saved by an object that has the old title"
    await store.save_thread(older, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title == "A name"
    with pytest.raises(NotFound):
        await store.name_thread("thr_unknown", "A name", ALICE, instead_of=first)
