"""`ImportStore` takes threads of another server over: once, in order, and under their ids where those are free."""

import asyncio
from datetime import timedelta

import pytest
from chatkit.types import ClientToolCallItem
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import ImportStore, NotFound, Owner, SqlStore, new_id
from chatkit_store.ids import derived_id
from tests.conftest import also_guarded
from tests.store.conftest import Query, fixture_of
from tests.store.factories import (
    ALICE,
    BOB,
    NOON,
    User,
    assistant_message,
    make_thread,
    text_of,
    tool_call,
    user_message,
)

HERS, HIS = Owner("", "alice"), Owner("", "bob")

imports = fixture_of(ImportStore)


async def texts(store: SqlStore[User], thread_id: str, user: User = ALICE) -> list[str]:
    page = await store.load_thread_items(thread_id, None, 100, "asc", user)
    return [text_of(item) for item in page.data]


@also_guarded
async def test_a_thread_keeps_ids_times_and_order(imports: ImportStore, store: SqlStore[User]) -> None:
    thread = make_thread(id="cthr_1", title="Tea", created_at=NOON - timedelta(days=9))
    question, answer = user_message("How long?", id="cthi_1"), assistant_message("Three minutes.", id="cthi_2")
    assert await imports.find("cthr_1", HERS) is None
    imported = await imports.begin("cthr_1", thread, HERS)
    assert (imported.thread_id, imported.last_item_id, imported.is_deleted) == ("cthr_1", None, False)
    assert await imports.append("cthr_1", [question, answer], "cthi_2", HERS) == 2
    assert await store.load_thread("cthr_1", ALICE) == thread
    page = await store.load_thread_items("cthr_1", None, 10, "asc", ALICE)
    assert page.data == [item.model_copy(update={"thread_id": "cthr_1"}) for item in (question, answer)]
    found = await imports.find("cthr_1", HERS)
    assert found is not None
    assert (found.thread_id, found.last_item_id, found.is_deleted) == ("cthr_1", "cthi_2", False)


@also_guarded
async def test_repetition_adds_only_what_is_new(imports: ImportStore, store: SqlStore[User]) -> None:
    thread, first, second = make_thread(), user_message("one"), assistant_message("two")
    for _ in range(2):
        await imports.begin("there", thread, HERS)
        await imports.append("there", [first], first.id, HERS)
    assert await imports.append("there", [first, second], second.id, HERS) == 1
    assert await texts(store, thread.id) == ["one", "two"]
    assert len((await store.load_threads(10, None, "asc", ALICE)).data) == 1


async def test_what_was_changed_here_stays(imports: ImportStore, store: SqlStore[User]) -> None:
    thread, message = make_thread(), user_message("there")
    await imports.begin("there", thread, HERS)
    await imports.append("there", [message], message.id, HERS)
    await store.save_item(thread.id, message.model_copy(update={"content": user_message("here").content}), ALICE)
    assert await imports.append("there", [message], message.id, HERS) == 0
    assert await texts(store, thread.id) == ["here"]


@also_guarded
async def test_ids_that_are_taken_are_replaced(imports: ImportStore, store: SqlStore[User]) -> None:
    """By another user, of whom nothing changes; and the same ones again when it is repeated."""
    thread, question, answer = make_thread(), user_message("his"), assistant_message("his, too")
    await store.save_thread(thread, BOB)
    await store.add_thread_items(thread.id, [question, answer], BOB)
    mine = [user_message("hers", id=question.id), user_message("free")]
    for _ in range(2):
        imported = await imports.begin(thread.id, thread, HERS)
        await imports.append(thread.id, mine, mine[-1].id, HERS)
    assert imported.thread_id != thread.id
    page = await store.load_thread_items(imported.thread_id, None, 10, "asc", ALICE)
    assert [item.id for item in page.data] == [derived_id("imp", imported.thread_id, question.id), mine[1].id]
    assert await texts(store, imported.thread_id) == ["hers", "free"]
    assert await texts(store, thread.id, BOB) == ["his", "his, too"]


@also_guarded
async def test_each_owner_has_a_copy(imports: ImportStore, store: SqlStore[User]) -> None:
    thread, message = make_thread(), user_message()
    places = set()
    for owner in (HERS, HIS, Owner("acme", "alice")):
        imported = await imports.begin("there", thread, owner)
        await imports.append("there", [message], message.id, owner)
        places.add(imported.thread_id)
        user = User(owner.user_id, owner.tenant)
        assert [thread.id for thread in (await store.load_threads(9, None, "asc", user)).data] == [imported.thread_id]
        assert await texts(store, imported.thread_id, user) == ["Hello"]
    assert len(places) == 3


async def test_a_thread_that_was_deleted_here_does_not_return(imports: ImportStore, store: SqlStore[User]) -> None:
    thread = make_thread()
    await imports.begin("there", thread, HERS)
    await store.delete_thread(thread.id, ALICE)
    assert (await imports.begin("there", thread, HERS)).is_deleted
    found = await imports.find("there", HERS)
    assert found is not None
    assert found.is_deleted
    with pytest.raises(NotFound):
        await imports.append("there", [user_message()], None, HERS)
    assert (await store.load_threads(10, None, "asc", ALICE)).data == []


async def test_a_thread_that_was_not_begun_takes_nothing(imports: ImportStore) -> None:
    with pytest.raises(NotFound):
        await imports.append("there", [user_message()], None, HERS)


async def test_imported_threads_are_listed_by_time_and_before_those_begun_here(
    imports: ImportStore, store: SqlStore[User]
) -> None:
    await store.save_thread(make_thread(title="here"), ALICE)
    ages = {"c": 1, "a": 3, "b": 2, "b too": 2}
    for title, days in ages.items():
        thread = make_thread(title=title, created_at=NOON - timedelta(days=days))
        await imports.begin(title, thread, HERS)
    await store.save_thread(make_thread(title="later"), ALICE)
    listed: list[str | None] = []
    after = None
    while True:
        page = await store.load_threads(2, after, "desc", ALICE)
        listed += [thread.title for thread in page.data]
        after = page.after
        if not page.has_more:
            break
    assert listed == ["later", "here", "c", "b too", "b", "a"]
    newest = await store.load_threads(10, None, "asc", ALICE, newest=3)
    assert [thread.title for thread in newest.data] == ["c", "here", "later"]
    everything = await store.load_threads(10, None, "asc", ALICE, newest=9)
    assert [thread.title for thread in everything.data] == listed[::-1]


async def test_imports_at_the_same_time_take_different_positions(imports: ImportStore, store: SqlStore[User]) -> None:
    sources = [new_id("cthr") for _ in range(8)]
    await asyncio.gather(*(imports.begin(id, make_thread(id=id), HERS) for id in sources))
    assert {thread.id for thread in (await store.load_threads(20, None, "asc", ALICE)).data} == set(sources)


async def test_a_title_that_was_made_later_is_taken_over_unless_there_is_one(
    imports: ImportStore, store: SqlStore[User]
) -> None:
    thread = make_thread(title=None)
    for title, expected in ((None, None), ("Tea", "Tea"), ("Coffee", "Tea")):
        await imports.begin("there", thread.model_copy(update={"title": title}), HERS)
        assert (await store.load_thread(thread.id, ALICE)).title == expected


async def test_a_waiting_call_gets_the_output_it_has_meanwhile(imports: ImportStore, store: SqlStore[User]) -> None:
    thread, call = make_thread(), tool_call()
    done = call.model_copy(update={"status": "completed", "output": {"found": 2}})
    await imports.begin("there", thread, HERS)
    assert await imports.count_new("elsewhere", [call], HERS) == 1
    for item, expected in ((call, 1), (call, 0), (done, 1), (call, 0), (done, 0)):
        assert await imports.count_new("there", [item], HERS) == expected
        assert await imports.append("there", [item], item.id, HERS) == expected
    (saved,) = (await store.load_thread_items(thread.id, None, 10, "asc", ALICE)).data
    assert isinstance(saved, ClientToolCallItem)
    assert (saved.status, saved.output) == ("completed", {"found": 2})


async def test_a_thread_is_as_new_as_its_newest_item(imports: ImportStore, sql: Query, engine: AsyncEngine) -> None:
    thread = make_thread(created_at=NOON - timedelta(days=2))
    await imports.begin("there", thread, HERS)
    moments = [(NOON - timedelta(days=days)) for days in (1, 2)]
    await imports.append("there", [user_message(created_at=moment) for moment in moments], None, HERS)
    rows = await sql("SELECT count(*) FROM threads WHERE updated_at = (SELECT max(created_at) FROM thread_items)")
    assert [tuple(row) for row in rows] == [(1,)]
    saved = await SqlStore[User](engine).load_thread(thread.id, ALICE)
    assert saved.created_at == thread.created_at
