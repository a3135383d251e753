"""Page through 10,000 items, written once per database, in every way."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from chatkit.types import Page, ThreadItem
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chatkit_store import SqlStore
from tests.conftest import DATABASES, fresh_database, opened
from tests.store.factories import ALICE, NOON, User, hidden_item, make_thread, text_of, user_message

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY, FEW = 10_000, 60

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


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [20, 99, 500, 100_000_000])
async def test_ten_thousand_items_are_paged_without_loss_or_repeat(archive: Archive, limit: int, order: str) -> None:
    store, thread_id, _ = archive
    assert await walk(store, thread_id, limit, order) == in_order(MANY, order)


@settings(max_examples=40, deadline=None)
@given(limit=st.integers(1, 2 * FEW + 1), order=st.sampled_from(["asc", "desc"]), visible=st.booleans())
async def test_any_page_size_loses_nothing(archive: Archive, limit: int, order: str, visible: bool) -> None:
    store, _, thread_id = archive
    texts = await walk(store, thread_id, limit, order, visible=visible)
    assert [number for number in texts if number != "a secret"] == in_order(FEW, order)
    assert len(texts) == FEW * (1 if visible else 2)


@settings(max_examples=20, deadline=None)
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
