"""The version of a thread's history, by which a worker sees that the history it keeps is no longer true."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server.context import RequestContext
from chatkit_store import HistoryPage, NewTurn, SqlStore, TurnEnd, TurnStore, new_id
from tests.conftest import opened
from tests.databases import Postgres
from tests.store.factories import assistant_message, hidden_item, make_thread, user_message

ALICE = RequestContext("alice")
COPY = "id, thread_id, position, type, role, text, payload, created_at, updated_at"


class Thread:
    """Two turns of a thread that have ended: the messages `m1` and `m2` with the answers `a1` and `a2`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.store, self.turns = SqlStore[RequestContext](engine), TurnStore(engine)
        self.id = new_id("thr")

    async def begin(self) -> None:
        await self.store.save_thread(make_thread(id=self.id), ALICE)
        for number in (1, 2):
            await self.start(number)
            await self.finish(number)

    def item(self, name: str) -> str:
        return f"{name}_{self.id}"

    def fields(self, name: str) -> dict[str, Any]:
        return {"id": self.item(name), "thread_id": self.id, "created_at": datetime.now(UTC)}

    async def start(self, number: int) -> None:
        message = user_message("Hi", **self.fields(f"m{number}"))
        turn = NewTurn(self.item(f"turn{number}"), self.id, "threads.add_user_message", "r", user_item_id=message.id)
        await self.turns.start(turn, ALICE, items=[message])

    async def finish(self, number: int, **fields: Any) -> None:
        answer = assistant_message("Hello", **self.fields(f"a{number}"))
        end = TurnEnd("completed", transcript={"entries": []})
        await self.turns.finish(self.item(f"turn{number}"), end, ALICE, items=[answer], **fields)

    async def sql(self, statement: str) -> None:
        for name in ("m1", "m2", "a1", "a2", "turn1", "turn2"):
            statement = statement.replace(f":{name}", f"'{self.item(name)}'")
        async with self.engine.begin() as connection:
            await connection.execute(text(statement.replace(":thread", f"'{self.id}'")))

    async def version(self) -> int:
        query = text("SELECT history_version FROM threads WHERE id = :id")
        async with self.engine.connect() as connection:
            version: int = (await connection.execute(query, {"id": self.id})).scalar_one()
            return version

    async def page(self, after: HistoryPage | None = None) -> HistoryPage:
        return await self.store.load_history(self.id, None, 50, ALICE, None if after is None else after.window)


@pytest.fixture
async def thread(engine: AsyncEngine) -> Thread:
    created = Thread(engine)
    await created.begin()
    return created


def by_hand(statement: str) -> Callable[[Thread], Awaitable[None]]:
    return lambda thread: thread.sql(statement)


FOLLOWED: dict[str, Callable[[Thread], Awaitable[None]]] = {
    "an earlier item": by_hand("UPDATE thread_items SET payload = payload WHERE id = :a1"),
    "the times of earlier items": by_hand("UPDATE thread_items SET updated_at = updated_at WHERE position < 3"),
    "the last message, where a history ends": by_hand("UPDATE thread_items SET position = 90 WHERE id = :m2"),
    "a replaced item": by_hand("UPDATE thread_items SET replaced_by = 'turn' WHERE id = :a1"),
    "an item that comes before a message": by_hand("UPDATE thread_items SET position = 0 WHERE id = :a2"),
    "an earlier item that is gone": by_hand("DELETE FROM thread_items WHERE id = :a1"),
    "the last message that is gone": by_hand("DELETE FROM thread_items WHERE id = :m2"),
    "an item that comes in between": by_hand(
        f"INSERT INTO thread_items ({COPY}) SELECT 'copy_' || {COPY.replace('position', '0')} FROM thread_items "
        "WHERE id = :a1"
    ),
    "a transcript": by_hand("UPDATE turns SET transcript = NULL WHERE id = :turn1"),
    "the transcript of the last turn": by_hand("UPDATE turns SET transcript = NULL WHERE id = :turn2"),
    "a turn that is gone": by_hand("DELETE FROM turns WHERE id = :turn1"),
    "a turn that comes in between": by_hand(
        "INSERT INTO turns (id, thread_id, user_id, kind, request_id, status, started_at) "
        "SELECT 'copy_' || id, thread_id, user_id, kind, request_id, status, started_at FROM turns WHERE id = :turn1"
    ),
    "an item saved again": lambda thread: thread.store.save_item(
        thread.id, assistant_message("Other", **thread.fields("a1")), ALICE
    ),
}


@pytest.mark.parametrize("case", FOLLOWED)
async def test_a_change_that_a_message_follows_gives_another_version(thread: Thread, case: str) -> None:
    await thread.start(3)
    page, before = await thread.page(), await thread.version()
    assert (await thread.page(page)).continues
    await FOLLOWED[case](thread)
    assert await thread.version() != before
    assert not (await thread.page(page)).continues


async def test_what_a_turn_writes_gives_no_other_version(thread: Thread) -> None:
    before = await thread.version()
    await thread.start(3)
    page = await thread.page()
    for _ in range(2):
        await thread.store.save_item(thread.id, hidden_item({}, **thread.fields("h")), ALICE)
    await thread.sql("UPDATE turns SET readers = 7, address_key = NULL WHERE id = :turn1")
    await thread.finish(3)
    await thread.start(4)
    assert await thread.version() == before
    assert [item.item.id for item in (await thread.page(page)).items][::-1] == [
        *(thread.item(name) for name in ("m3", "h", "a3", "m4"))
    ]
    assert (await thread.page(page)).continues


async def test_a_change_is_one_of_its_own_thread(thread: Thread, engine: AsyncEngine) -> None:
    other = Thread(engine)
    await other.begin()
    before = await thread.version()
    await thread.sql("UPDATE thread_items SET payload = payload WHERE id = :a1")
    assert (await thread.version() != before, await other.version()) == (True, 0)


async def test_a_turn_that_runs_and_a_message_without_a_turn_are_in_no_window(thread: Thread) -> None:
    """Later changes of them give no other version, or come without a later turn."""
    await thread.start(3)
    await thread.store.add_thread_item(thread.id, user_message("By the agent", **thread.fields("m4")), ALICE)
    assert (await thread.page()).window is None
    await thread.finish(3)
    assert (await thread.page()).window is None


async def test_a_thread_that_was_deleted_and_written_again_is_another(engine: AsyncEngine) -> None:
    """It has the same id, and no turns for its earlier messages."""
    thread = Thread(engine)
    pages: list[HistoryPage] = []
    for number, words in enumerate(("A secret.", "Nothing."), 2):
        await thread.store.save_thread(make_thread(id=thread.id), ALICE)
        await thread.store.add_thread_item(thread.id, user_message(words, **thread.fields("m1")), ALICE)
        await thread.start(number)
        pages.append(await thread.page(pages[0] if pages else None))
        await thread.store.delete_thread(thread.id, ALICE)
    assert [page.window is not None for page in pages] == [True, True]
    assert not pages[1].continues


async def test_changes_are_seen_in_a_schema_that_was_renamed(postgres: Postgres) -> None:
    with postgres.fresh_database(with_schema=True) as url:
        async with opened(url, has_schema=True) as engine:
            thread = Thread(engine)
            await thread.begin()
            await thread.sql("ALTER SCHEMA public RENAME TO moved")
            await thread.sql("UPDATE moved.thread_items SET payload = payload WHERE id = :a1")
            await thread.sql("ALTER SCHEMA moved RENAME TO public")
            assert await thread.version() > 0


async def test_a_thread_is_deleted_with_all_that_has_triggers(thread: Thread) -> None:
    await thread.store.delete_thread(thread.id, ALICE)
    async with thread.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM thread_items"))).scalar_one() == 0
