"""Page through 10,000 items, written once per database, in every way."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from chatkit.types import Page, ThreadItem
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chatkit_store import SqlStore, new_id
from chatkit_store.paging import PAGE_BYTES
from tests.conftest import DATABASES, fresh_database, opened
from tests.store.factories import ALICE, NOON, User, hidden_item, make_thread, text_of, tool_call, user_message

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY, FEW = 10_000, 60
CAROL = User("carol")

Archive = tuple[SqlStore[User], str, str]


@pytest_asyncio.fixture(scope="module", params=DATABASES, loop_scope="module")
async def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Archive]:
    """The store, a thread of 10,000 messages, and one of 60 messages with a hidden item after each."""
    with fresh_database(request.param, tmp_path_factory.mktemp("archive"), request) as url:
        async with opened(url) as engine:
            store: SqlStore[User] = SqlStore(engine)
            long, short = make_thread(), make_thread()
            for thread in (long, short):
                await store.save_thread(thread, ALICE)
            await store.add_thread_items(long.id, numbered(MANY), ALICE)
            pairs = ([item, hidden_item()] for item in numbered(FEW))
            await store.add_thread_items(short.id, [item for pair in pairs for item in pair], ALICE)
            async with engine.begin() as connection:
                await connection.execute(text("ANALYZE"))  # like autovacuum a minute after a bulk load
            yield store, long.id, short.id


def numbered(count: int) -> list[ThreadItem]:
    """Return messages with their number as text; their times are tied in hundreds and run backwards."""
    return [user_message(str(n), created_at=NOON - timedelta(seconds=n // 100)) for n in range(count)]


@pytest.mark.no_cover
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [20, 99, 500, 100_000_000])
async def test_ten_thousand_items_are_paged_without_loss_or_repeat(archive: Archive, limit: int, order: str) -> None:
    store, thread_id, _ = archive
    assert await walk(store, thread_id, limit, order) == in_order(MANY, order)


@settings(max_examples=40)
@given(limit=st.integers(1, 2 * FEW + 1), order=st.sampled_from(["asc", "desc"]), visible=st.booleans())
async def test_any_page_size_loses_nothing(archive: Archive, limit: int, order: str, visible: bool) -> None:
    store, _, thread_id = archive
    texts = await walk(store, thread_id, limit, order, visible=visible)
    assert [number for number in texts if number != "a secret"] == in_order(FEW, order)
    assert len(texts) == FEW * (1 if visible else 2)


@settings(max_examples=20)
@given(start=st.integers(0, MANY - 1), limit=st.integers(1, 500), order=st.sampled_from(["asc", "desc"]))
async def test_page_after_any_item_begins_with_the_next(archive: Archive, start: int, limit: int, order: str) -> None:
    store, thread_id, _ = archive
    before = await store.load_thread_items(thread_id, None, 500, order, ALICE)
    cursor = before.data[start % 500]
    page = await store.load_thread_items(thread_id, cursor.id, limit, order, ALICE)
    first = int(text_of(cursor))
    step = 1 if order == "asc" else -1
    assert [int(text_of(item)) for item in page.data] == [first + step * (n + 1) for n in range(limit)]


@pytest.mark.parametrize(("limit", "size"), [(9999, 500), (100_000_000, 500), (-5, 1), (0, 1), (500, 500), (501, 500)])
async def test_limit_is_clamped(archive: Archive, limit: int, size: int) -> None:
    """The stock server passes the client's number to the store unchecked (T38)."""
    store, thread_id, _ = archive
    page: Page[ThreadItem] = await store.load_thread_items(thread_id, None, limit, "desc", ALICE)
    assert (len(page.data), page.has_more, page.after) == (size, True, page.data[-1].id)
    assert len((await store.load_threads(limit, None, "asc", ALICE)).data) == min(size, 2)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_last_full_page_has_no_more(archive: Archive, order: str) -> None:
    store, _, thread_id = archive
    page = await store.load_visible_items(thread_id, None, FEW, order, ALICE)
    assert (len(page.data), page.has_more, page.after) == (FEW, False, None)
    page = await store.load_visible_items(thread_id, page.data[-1].id, FEW, order, ALICE)
    assert (page.data, page.has_more, page.after) == ([], False, None)


def in_order(count: int, order: str) -> list[str]:
    return [str(n) for n in range(count)][:: 1 if order == "asc" else -1]


async def walk(store: SqlStore[User], thread_id: str, limit: int, order: str, *, visible: bool = False) -> list[str]:
    """Return the texts of all pages, each page checked."""
    load = store.load_visible_items if visible else store.load_thread_items
    texts: list[str] = []
    after = None
    while True:
        page = await load(thread_id, after, limit, order, ALICE)
        texts += [text_of(item) for item in page.data]
        if not page.has_more:
            assert page.after is None
            return texts
        assert len(page.data) == min(limit, 500)
        assert page.after == page.data[-1].id
        after = page.after


LARGE = "ä" * (PAGE_BYTES // 4)  # half a page, in UTF-8


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_has_a_limit_in_bytes_and_at_least_one_item(archive: Archive, order: str) -> None:
    store, _, _ = archive
    thread = make_thread()
    await store.save_thread(thread, CAROL)
    texts = ["0", LARGE, LARGE * 5, LARGE * 6, "1", "2", LARGE, LARGE, LARGE, LARGE]
    await store.add_thread_items(thread.id, [user_message(text) for text in texts], CAROL)
    pages = await pages_of(store, thread.id, order)
    sizes = [[text if len(text) == 1 else f"{len(text) // len(LARGE)} large" for text in page] for page in pages]
    large = ["1 large"]
    assert (
        sizes
        == {
            "asc": [["0", *large], ["5 large"], ["6 large"], ["1", "2", *large], large, large, large],
            "desc": [large, large, large, [*large, "2", "1"], ["6 large"], ["5 large"], [*large, "0"]],
        }[order]
    )


async def test_a_page_that_unreadable_rows_fill_still_has_an_item(archive: Archive) -> None:
    store, _, _ = archive
    thread = make_thread()
    await store.save_thread(thread, CAROL)
    items = [user_message(LARGE * 4), user_message(LARGE * 4), user_message("last")]
    await store.add_thread_items(thread.id, items, CAROL)
    async with store._database.engine.begin() as connection:
        rename = text("UPDATE thread_items SET type = 'widget' WHERE thread_id = :thread AND id <> :last")
        await connection.execute(rename, {"thread": thread.id, "last": items[-1].id})
    assert await pages_of(store, thread.id, "asc") == [["last"]]


async def test_long_client_tool_calls_do_not_fill_pages(archive: Archive) -> None:
    """The widget skips them: after a page of them it would ask for the same page again."""
    store, _, _ = archive
    thread = make_thread()
    await store.save_thread(thread, CAROL)
    calls = [tool_call(id=new_id("ctc"), status="completed", output=LARGE) for _ in range(5)]
    items: list[ThreadItem] = [
        user_message("0"),
        *calls,
        tool_call(id=new_id("ctc"), output="short"),
        user_message("1"),
    ]
    await store.add_thread_items(thread.id, items, CAROL)
    page = await store.load_visible_items(thread.id, None, 100, "asc", CAROL)
    assert [item.type for item in page.data] == ["user_message", "client_tool_call", "user_message"]


async def test_pages_of_threads_have_a_limit_in_bytes(archive: Archive) -> None:
    store, _, _ = archive
    owner = User(new_id("user"))
    for number in range(5):
        thread = make_thread(title=f"{number}")
        thread.metadata = {"notes": LARGE}
        await store.save_thread(thread, owner)
    first = await store.load_threads(9999, None, "asc", owner)
    assert ([thread.title for thread in first.data], first.has_more) == (["0"], True)
    second = await store.load_threads(9999, first.after, "asc", owner)
    assert ([thread.title for thread in second.data], second.has_more) == (["1"], True)


async def pages_of(store: SqlStore[User], thread_id: str, order: str) -> list[list[str]]:
    pages: list[list[str]] = []
    after, has_more = None, True
    while has_more:
        page = await store.load_visible_items(thread_id, after, 100, order, CAROL)
        pages.append([text_of(item) for item in page.data])
        after, has_more = page.after, page.has_more
    return pages


async def test_a_page_of_the_history_has_a_limit_in_bytes(archive: Archive) -> None:
    store, _, _ = archive
    thread = make_thread()
    await store.save_thread(thread, CAROL)
    texts = ["0", "1", LARGE, LARGE, LARGE * 5, "2"]
    await store.add_thread_items(thread.id, [user_message(text) for text in texts], CAROL)
    pages: list[list[str]] = []
    before = None
    while not pages or before is not None:
        page = await store.load_history(thread.id, before, 200, CAROL)
        pages.append([text_of(row.item) for row in page.items])
        before = page.before
    assert [text for page in pages for text in page] == texts[::-1]
    assert [len(page) for page in pages] == [2, 2, 2]  # each up to the item with which it exceeds the limit
