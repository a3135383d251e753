"""Lists of all threads and of any thread's conversation, in both directions, on every database."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import pytest
from chatkit.types import ThreadItem

from chatkit_store import (
    AllThreadsStore,
    Cursors,
    ImportStore,
    NotFound,
    OwnedThread,
    Owner,
    SqlStore,
    TurnStore,
    new_id,
    notice_id,
)
from tests.conftest import also_guarded
from tests.store.conftest import Query, fixture_of
from tests.store.factories import (
    ALICE,
    BOB,
    NOON,
    User,
    assistant_message,
    hidden_item,
    make_thread,
    make_turn,
    user_message,
    widget_with,
)

pytestmark = also_guarded

all_threads = fixture_of(AllThreadsStore)
imports = fixture_of(ImportStore)
TWIN = User(ALICE.user_id, tenant="other")
Order = Literal["asc", "desc"]


@pytest.fixture
async def saved(store: SqlStore[User]) -> list[str]:
    """The ids of five threads of three owners."""
    threads = [(make_thread(), owner) for owner in (ALICE, BOB, TWIN, ALICE, BOB)]
    for thread, owner in threads:
        await store.save_thread(thread, owner)
    return [thread.id for thread, _ in threads]


def ids_of(page: Sequence[OwnedThread | ThreadItem]) -> list[str]:
    return [entry.thread.id if isinstance(entry, OwnedThread) else entry.id for entry in page]


async def test_a_thread_comes_with_its_owner(all_threads: AllThreadsStore, saved: list[str]) -> None:
    owned = await all_threads.load_thread(saved[2])
    assert (owned.thread.id, owned.owner) == (saved[2], Owner("other", "alice"))
    with pytest.raises(NotFound):
        await all_threads.load_thread("unknown")


async def test_filters_leave_out_other_users_and_tenants(all_threads: AllThreadsStore, saved: list[str]) -> None:
    a, b, twin, c, d = saved
    for user, tenant, expected in (
        (None, None, saved),
        ("alice", None, [a, twin, c]),
        (None, "", [a, b, c, d]),
        (None, "other", [twin]),
        ("alice", "other", [twin]),
        ("bob", "other", []),
    ):
        for order in ("asc", "desc"):
            page = await all_threads.load_threads(Cursors(), 9, order, user_id=user, tenant=tenant)
            assert (ids_of(page.data), page.has_more) == (expected if order == "asc" else expected[::-1], False)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_lies_between_its_cursors(all_threads: AllThreadsStore, saved: list[str], order: Order) -> None:
    listed = saved if order == "asc" else saved[::-1]
    for limit in (1, 2, 9):
        for start in (None, *range(5)):
            for end in (None, *range(5)):
                cursors = Cursors(
                    after=None if start is None else listed[start], before=None if end is None else listed[end]
                )
                inside = listed[0 if start is None else start + 1 : end]
                is_backward = start is None and end is not None
                expected = inside[-limit:] if is_backward else inside[:limit]
                page = await all_threads.load_threads(cursors, limit, order)
                assert (ids_of(page.data), page.has_more) == (expected, len(inside) > limit), (limit, cursors)


async def test_a_deleted_thread_serves_as_a_cursor_for_a_day(
    all_threads: AllThreadsStore, store: SqlStore[User], turns: TurnStore, saved: list[str], sql: Query
) -> None:
    await store.delete_thread(saved[1], BOB)
    for cursors, expected in (
        (Cursors(after=saved[1]), saved[2:]),
        (Cursors(before=saved[1]), saved[:1]),
        (Cursors(after=saved[0], before=saved[1]), []),
    ):
        assert ids_of((await all_threads.load_threads(cursors, 9, "asc")).data) == expected
    await sql("UPDATE deleted_threads SET deleted_at = :then", then=NOON - timedelta(days=9))
    await turns.prune_limits()
    for cursors in (Cursors(after=saved[1]), Cursors(before=saved[1]), Cursors(saved[0], saved[1])):
        with pytest.raises(NotFound) as error:
            await all_threads.load_threads(cursors, 9, "asc")
        assert error.value.id == saved[1]


async def test_an_id_that_is_used_again_is_found_at_its_new_place(
    all_threads: AllThreadsStore, store: SqlStore[User], saved: list[str]
) -> None:
    async def behind_it() -> list[str]:
        return ids_of((await all_threads.load_threads(Cursors(after=saved[0]), 1, "desc")).data)

    await store.delete_thread(saved[0], ALICE)
    assert await behind_it() == []
    await store.save_thread(make_thread(id=saved[0]), ALICE)
    assert await behind_it() == [saved[4]]
    await store.delete_thread(saved[0], ALICE)
    assert await behind_it() == [saved[4]]


async def test_imported_threads_are_listed_by_their_time_before_those_begun_here(
    all_threads: AllThreadsStore, saved: list[str], imports: ImportStore
) -> None:
    old = [make_thread(created_at=NOON - timedelta(days=days)) for days in (3, 5)]
    for thread in old:
        await imports.begin(thread.id, thread, Owner("", "alice"))
    listed = [old[1].id, old[0].id, *saved]
    assert ids_of((await all_threads.load_threads(Cursors(), 9, "asc")).data) == listed
    page = await all_threads.load_threads(Cursors(before=listed[3]), 2, "asc", tenant="")
    assert (ids_of(page.data), page.has_more) == ([listed[1], listed[2]], True)


async def test_only_what_belongs_to_the_conversation_is_listed(
    all_threads: AllThreadsStore, store: SqlStore[User], turns: TurnStore
) -> None:
    thread, question, answer = make_thread(), user_message(), assistant_message()
    replaced, half_written, again = assistant_message(), assistant_message(), user_message("Again")
    await store.save_thread(thread, ALICE)
    await store.add_thread_items(thread.id, [question, hidden_item(), replaced], ALICE)
    retry = make_turn(thread.id, kind="threads.retry_after_item", user_item_id=question.id)
    await turns.start(retry, ALICE, replace_after=question.id)
    await store.add_thread_items(thread.id, [answer, widget_with(id=notice_id(retry.id))], ALICE)
    await store.add_thread_items(thread.id, [half_written], ALICE, retry.id, [half_written.id])
    await store.add_thread_items(thread.id, [again], ALICE)
    for order, expected in (("asc", [question, answer, again]), ("desc", [again, answer, question])):
        page = await all_threads.load_items(thread.id, Cursors(), 3, order)  # type: ignore[arg-type]  # a Literal
        assert (page.data, page.has_more) == (
            [item.model_copy(update={"thread_id": thread.id}) for item in expected],
            False,
        )
    page = await all_threads.load_items(thread.id, Cursors(after=question.id, before=again.id), 9, "asc")
    assert ids_of(page.data) == [answer.id]


async def test_unknown_threads_and_cursors_of_other_threads_are_not_found(
    all_threads: AllThreadsStore, store: SqlStore[User], saved: list[str]
) -> None:
    item, other = user_message(), user_message()
    await store.add_thread_item(saved[0], item, ALICE)
    await store.add_thread_item(saved[1], other, BOB)
    for thread_id, cursors, missing in (
        (saved[0], Cursors(after=other.id), other.id),
        (saved[0], Cursors(before=other.id), other.id),
        (saved[0], Cursors(item.id, other.id), other.id),
        ("unknown", Cursors(), "unknown"),
        ("unknown", Cursors(before=item.id), "unknown"),
        ("unknown", Cursors(item.id, item.id), "unknown"),
    ):
        with pytest.raises(NotFound) as error:
            await all_threads.load_items(thread_id, cursors, 9, "asc")
        assert error.value.id == missing
    assert ids_of((await all_threads.load_items(saved[0], Cursors(after=item.id), 9, "asc")).data) == []
    with pytest.raises(NotFound):
        await all_threads.load_threads(Cursors(after=new_id("thr")), 9, "asc")
