"""A plain turn takes few round trips, and writes what the transactions with a statement per step write."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    IdClash,
    NotFound,
    RequestKey,
    SqlStore,
    ThreadBusy,
    ThreadChanged,
    TurnEnd,
    TurnStore,
    loop_connection,
    new_id,
    notice_id,
)
from chatkit_store.database import Database
from tests.store.conftest import Query
from tests.store.factories import ALICE, User, assistant_message, make_thread, make_turn, user_message, widget_with
from tests.support.round_trips import round_trips

WORKER = "worker"
DONE = TurnEnd("completed", first_token_ms=1, duration_ms=2, input_tokens=3, output_tokens=4, transcript={"a": [1]})


class Conversation:
    """Two plain turns of one thread: a new one, and the next message."""

    def __init__(self, store: SqlStore[User], turns: TurnStore) -> None:
        self.store, self.turns = store, turns
        self.thread = make_thread(title="Tea", metadata={"a": 1})
        self.answer = assistant_message().model_copy(update={"thread_id": self.thread.id})
        self.first, self.second = (
            make_turn(self.thread.id, worker_id=WORKER, user_item_id=new_id("msg"), model="m") for _ in range(2)
        )

    async def start(self) -> None:
        message = user_message(id=self.first.user_item_id)
        key = RequestKey(self.first.id, 60.0)
        await self.turns.start(self.first, ALICE, new_thread=self.thread, items=[message], key=key)

    async def add(self) -> None:
        await self.store.add_thread_items(self.thread.id, [self.answer], ALICE, turn_id=self.first.id, worker_id=WORKER)

    async def finish(self) -> None:
        assert await self.turns.finish(self.first.id, DONE, ALICE, worker_id=WORKER)

    async def finish_with_answer(self) -> None:
        assert await self.turns.finish(self.first.id, DONE, ALICE, items=[self.answer], worker_id=WORKER)

    async def start_again(self) -> list[str]:
        position = await self.store.last_position(self.thread.id, ALICE)
        return await self.turns.start(
            self.second, ALICE, items=[user_message("More", id=self.second.user_item_id)], seen_position=position
        )


@pytest.fixture
async def conversation(store: SqlStore[User], turns: TurnStore) -> Conversation:
    await store.load_threads(1, None, "asc", ALICE)  # the first connection finds out whether there is a pooler
    return Conversation(store, turns)


async def test_each_step_of_a_plain_turn_is_one_round_trip(conversation: Conversation, engine: AsyncEngine) -> None:
    warm = Conversation(conversation.store, conversation.turns)  # a statement is prepared once for each connection
    warm_too = Conversation(conversation.store, conversation.turns)
    for step in (warm.start, warm.add, warm.finish, warm.start_again, warm_too.start, warm_too.finish_with_answer):
        await step()
    with round_trips(engine) as trips:
        for number, step in enumerate((conversation.start, conversation.add, conversation.finish), 1):
            await step()
            assert len(trips) == number, trips
        await conversation.start_again()
        assert len(trips) == 5, trips  # the position, too
    other = Conversation(conversation.store, conversation.turns)
    with round_trips(engine) as trips:
        await other.start()
        await other.finish_with_answer()
    assert len(trips) == 2, trips


async def test_naming_a_thread_is_one_round_trip(conversation: Conversation, engine: AsyncEngine) -> None:
    await conversation.start()
    store, thread_id = conversation.store, conversation.thread.id
    assert await store.name_thread(thread_id, "Coffee", ALICE, instead_of="Tea")
    with round_trips(engine) as trips:
        assert await store.name_thread(thread_id, "Cocoa", ALICE, instead_of="Coffee")
    assert len(trips) == 1, trips


async def test_looking_for_a_thread_that_does_not_exist_is_one_round_trip(
    conversation: Conversation, engine: AsyncEngine
) -> None:
    await conversation.start()
    await conversation.store.load_thread_state(conversation.thread.id, ALICE)
    with round_trips(engine) as trips, pytest.raises(NotFound):
        await conversation.store.load_thread_state("thr_gone", ALICE)
    assert len(trips) == 1, trips


async def rows(sql: Query, conversation: Conversation) -> dict[str, Any]:
    """Return all rows of a conversation, without what differs between two: ids and times."""
    names = {
        value: name
        for name, value in {
            "thread": conversation.thread.id,
            "first": conversation.first.id,
            "second": conversation.second.id,
            "message": conversation.first.user_item_id,
            "more": conversation.second.user_item_id,
            "answer": conversation.answer.id,
        }.items()
    }

    def plain(name: str, value: Any) -> Any:
        if name.endswith("_at"):
            return value is not None
        if isinstance(value, dict | list):  # as PostgreSQL's driver decodes JSON
            value = json.dumps(value)
        if isinstance(value, str):
            for text, label in names.items():
                value = value.replace(str(text), label)
        return value

    tables: dict[str, Any] = {}
    for table, column, order in (
        ("threads", "id", "id"),
        ("thread_items", "thread_id", "position"),
        ("turns", "thread_id", "started_at"),
    ):
        selected = await sql(
            f"SELECT * FROM {table} WHERE {column} = :thread ORDER BY {order}",
            thread=conversation.thread.id,
        )
        skipped = {"position", "history_version"} if table == "threads" else set()  # the second is a transaction
        tables[table] = [
            {name: plain(name, value) for name, value in row._mapping.items() if name not in skipped}
            for row in selected
        ]
    return tables


async def test_both_ways_write_the_same_rows(
    conversation: Conversation, sql: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for is_at_once in (True, False):
        other = Conversation(conversation.store, conversation.turns)
        if not is_at_once:
            monkeypatch.setattr(Database, "writes_at_once", False)
            monkeypatch.setattr(loop_connection, "is_watched", lambda _: True)
        for step in (other.start, other.add, other.finish):
            await step()
        await notice(other)
        assert await other.start_again() == [notice_id(other.first.id)]
        written.append(await rows(sql, other))
    at_once, stepwise = written
    assert at_once == stepwise
    assert len(at_once["thread_items"]) == 3


async def test_an_answer_that_is_saved_with_the_end_leaves_the_same_rows(
    conversation: Conversation, sql: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_at_once in (True, False):
        if not is_at_once:
            monkeypatch.setattr(Database, "writes_at_once", False)
            monkeypatch.setattr(loop_connection, "is_watched", lambda _: True)
        for is_reserved in (True, False):
            apart, together = (Conversation(conversation.store, conversation.turns) for _ in range(2))
            for each in (apart, together):
                await each.start()
                if is_reserved:  # an item before which another one was saved
                    await each.store.add_thread_items(
                        each.thread.id, [each.answer], ALICE, each.first.id, [each.answer.id], WORKER
                    )
            await apart.add()
            await apart.finish()
            await together.finish_with_answer()
            tables = await rows(sql, apart)
            assert len(tables["thread_items"]) == 2
            assert tables == await rows(sql, together)


async def test_a_turn_does_not_end_without_its_answer(conversation: Conversation, sql: Query) -> None:
    await conversation.start()
    before = await rows(sql, conversation)
    other = Conversation(conversation.store, conversation.turns)
    await other.start()
    await other.add()
    with pytest.raises(IdClash):
        await conversation.turns.finish(conversation.first.id, DONE, ALICE, items=[other.answer], worker_id=WORKER)
    assert not await conversation.turns.finish(
        conversation.first.id, DONE, ALICE, items=[conversation.answer], worker_id="other"
    )
    assert await rows(sql, conversation) == before


async def notice(conversation: Conversation) -> None:
    """Give the thread a notice, as a failed turn leaves it."""
    card = widget_with(id=notice_id(conversation.first.id))
    await conversation.turns.finish(conversation.first.id, DONE, ALICE, items=[card], worker_id=WORKER)


async def test_whatever_is_not_plain_changes_nothing_and_is_explained(conversation: Conversation, sql: Query) -> None:
    await conversation.start()
    with pytest.raises(ThreadBusy):
        await conversation.start_again()
    with pytest.raises(NotFound):
        await conversation.store.add_thread_items(
            conversation.thread.id, [conversation.answer], ALICE, turn_id=conversation.first.id, worker_id="other"
        )
    assert not await conversation.turns.finish(conversation.first.id, DONE, ALICE, worker_id="other")
    await conversation.finish()
    before = await rows(sql, conversation)
    taken = replace(conversation.second, id=conversation.first.id)
    for turn, message, seen, error in (
        (conversation.second, user_message(), 7, ThreadChanged),
        (conversation.second, user_message(id=conversation.first.user_item_id, thread_id="x"), 7, ThreadChanged),
        (taken, user_message(), 1, IdClash),
    ):
        with pytest.raises(error):
            await conversation.turns.start(turn, ALICE, items=[message], seen_position=seen)
        assert await rows(sql, conversation) == before
    stranger = make_turn(conversation.thread.id, worker_id=WORKER, user_item_id=new_id("msg"))
    with pytest.raises(NotFound):
        await conversation.turns.start(stranger, User("mallory"), items=[user_message()], seen_position=1)
    assert await rows(sql, conversation) == before


async def test_an_item_with_the_id_of_another_thread_is_refused(conversation: Conversation) -> None:
    await conversation.start()
    other = Conversation(conversation.store, conversation.turns)
    await other.start()
    other.answer = user_message(id=conversation.first.user_item_id)  # type: ignore[assignment]  # any item
    with pytest.raises(IdClash):
        await other.add()
