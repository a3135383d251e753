"""The cached part of a model input: always equal to what reading the whole thread gives."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from chatkit.store import NotFoundError
from chatkit.types import (
    CustomTask,
    FileAttachment,
    GeneratedImageItem,
    SDKHiddenContextItem,
    ThreadMetadata,
    UserMessageTagContent,
    Workflow,
    WorkflowItem,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server.context import RequestContext
from chatkit_server.memory import memory as memory_module
from chatkit_server.memory import thread_reading
from chatkit_server.memory.converter import SafeConverter
from chatkit_server.memory.memory import Memory
from chatkit_server.memory.memory_cache import Chain, MemoryCache
from chatkit_server.memory.token_estimate import count_tokens
from chatkit_server.models.client.packed_items import PackedItems, body_json
from chatkit_server.models.client.wire_items import PlainList
from chatkit_store import NewTurn, SqlStore, TurnEnd, TurnStore, create_schema, new_id, open_engine
from tests.statements import counted
from tests.store.factories import assistant_message, hidden_item, make_thread, tool_call, user_message, widget_with

T = TypeVar("T")

ALICE = RequestContext("alice")
ORIGINS = (None, "acct:gpt", "acct:other")
BUDGETS = (40, 200, 700, 100_000)
CONVERTER = SafeConverter()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short threads have several pages and a chain."""
    monkeypatch.setattr(memory_module, "PAGE_SIZE", 6)
    monkeypatch.setattr(thread_reading, "SHORTEST", 1)


@pytest.fixture
def run(database_url: str) -> Iterator[Callable[[Awaitable[T]], T]]:
    """Run something in an event loop that stays the same, as hypothesis calls no coroutines."""
    with asyncio.Runner() as runner:

        async def prepare() -> None:
            engine = open_engine(database_url)
            await create_schema(engine)
            await engine.dispose()

        runner.run(prepare())

        def call(awaitable: Awaitable[T]) -> T:
            async def wait() -> T:
                return await awaitable

            return runner.run(wait())

        yield call


@dataclass
class Worker:
    """A worker with its own connections and cache."""

    engine: AsyncEngine
    cache: MemoryCache = field(default_factory=lambda: MemoryCache(10_000_000))

    def __post_init__(self) -> None:
        self.store = SqlStore[RequestContext](self.engine)
        self.turns = TurnStore(self.engine)


@dataclass
class Conversation:
    """A thread, and what has happened in it."""

    workers: list[Worker]
    thread: ThreadMetadata
    messages: list[str] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    turn_ids: list[str] = field(default_factory=list)
    is_checked: bool = True

    @property
    def last(self) -> str:
        return self.messages[-1]

    def worker(self, number: int) -> Worker:
        return self.workers[number % 2]

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def message(self, number: int, **fields: Any) -> None:
        message = user_message(f"Question {number} " + "q" * (number % 90), created_at=self.now(), **fields)
        await self._turn(number, [message], user_item_id=message.id)
        self.messages.append(message.id)

    async def retry(self, number: int) -> None:
        if self.messages:
            await self._turn(number, [], user_item_id=self.last, kind="threads.retry_after_item", after=self.last)

    async def action(self, number: int) -> None:
        await self._turn(number, [])

    async def _turn(self, number: int, items: list[Any], *, after: str | None = None, **fields: Any) -> None:
        """Run a turn; compare the inputs while it runs, as a turn's input is built then."""
        worker = self.worker(number)
        turn = NewTurn(
            new_id("turn"), self.thread.id, request_id="req_1", **{"kind": "threads.add_user_message"} | fields
        )
        await worker.turns.start(turn, ALICE, items=items, replace_after=after)
        self.turn_ids.append(turn.id)
        self.items += items
        if self.is_checked:
            await self.check(number)
        answers, entries = self._answers(number)
        is_restored = after is not None and number % 4 == 0
        end = TurnEnd(
            "failed" if is_restored else ("completed", "stopped", "failed", "interrupted")[number % 4],
            "crash" if number % 4 == 3 else None,
            duration_ms=number,
            transcript=None if number % 7 == 0 else self._transcript(number, entries),
        )
        shown = [] if is_restored or number % 9 == 0 else answers
        await worker.turns.finish(turn.id, end, ALICE, items=shown, restore_replaced=is_restored)
        self.items += shown

    def _answers(self, number: int) -> tuple[list[Any], list[Any]]:
        now, call = self.now(), {"call_id": f"call_{number % 3}", "name": "look", "arguments": "{}"}
        answer = assistant_message(f"Answer {number} " + "a" * (number % 70), created_at=now, thread_id=self.thread.id)
        entries: list[Any] = [{"shown": answer.id, "message": {"id": f"m_{answer.id}"}}]
        answers: list[Any] = [answer]
        if number % 2:
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": f"out {number}"}
            entries = [{"item": {"type": "function_call", "id": f"fc_{number}", **call}}, {"item": output}, *entries]
            entries = [{"item": {"type": "reasoning", "id": f"rs_{number}", "summary": []}}, *entries]
        if number % 3 == 0:
            task = Workflow(type="custom", tasks=[CustomTask(title="Looked")], expanded=False)
            answers.insert(0, WorkflowItem(id=new_id("wf"), thread_id=self.thread.id, created_at=now, workflow=task))
        if number % 5 == 0:
            answers.append(widget_with("click", created_at=now, thread_id=self.thread.id))
            answers.append(hidden_item({"n": number}, created_at=now, thread_id=self.thread.id))
        if number % 11 == 0:
            answers.append(
                tool_call(id=new_id("tc"), call_id=call["call_id"], created_at=now, thread_id=self.thread.id)
            )
        if number % 13 == 0:
            answers.append(GeneratedImageItem(id=new_id("img"), thread_id=self.thread.id, created_at=now, image=None))
        if number % 4 == 1:
            note = {"content": "The user stopped.", "created_at": now, "thread_id": self.thread.id}
            answers.append(SDKHiddenContextItem(id=new_id("shcx"), **note))
        return answers, entries

    def _transcript(self, number: int, entries: list[Any]) -> Any:
        masked = {"message": f"masked {number}"} if number % 6 == 0 else {}
        return {"agent": f"agent {number % 3}", "origin": ORIGINS[number % 3], "entries": entries} | masked

    async def attach(self, number: int) -> None:
        file = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
        await self.worker(number).store.save_attachment(file, ALICE)
        await self.message(number, attachments=[file])

    async def mention(self, number: int) -> None:
        tag = UserMessageTagContent(id="t1", text=f"Customer {number}", data={}, interactive=False)
        await self.message(number, content=[tag])

    async def change(self, number: int) -> None:
        """Save an older item again, as the handler of a widget's action does."""
        if self.items:
            item = self.items[number % len(self.items)]
            if item.type == "assistant_message":
                item = assistant_message(f"Changed {number}", id=item.id, created_at=item.created_at)
            await self.worker(number).store.save_item(self.thread.id, item, ALICE)

    async def delete(self, number: int) -> None:
        if self.items:
            item = self.items.pop(number % len(self.items))
            self.messages = [message for message in self.messages if message != item.id]
            await self._sql("DELETE FROM thread_items WHERE id = :id", id=item.id)

    async def redact_by_hand(self, number: int) -> None:
        """Change a text in the database, without any of our code, and neither its length nor a time."""
        if self.items:
            statement = "UPDATE thread_items SET payload = {} WHERE id = :id"
            changed = "replace(CAST(payload AS text), 'Answer', 'Erased')"
            is_sqlite = self.workers[0].engine.dialect.name == "sqlite"
            changed = changed if is_sqlite else f"CAST({changed} AS json)"
            await self._sql(statement.format(changed), id=self.items[number % len(self.items)].id)

    async def forget_transcript_by_hand(self, number: int) -> None:
        if self.turn_ids:
            change = "UPDATE turns SET transcript = NULL WHERE id = :id"
            await self._sql(change, id=self.turn_ids[number % len(self.turn_ids)])

    async def prune_turn(self, number: int) -> None:
        if self.turn_ids:
            await self._sql("DELETE FROM turns WHERE id = :id", id=self.turn_ids.pop(number % len(self.turn_ids)))

    async def check(self, number: int) -> None:
        """Compare the input of both workers with one that is read as a whole, for several models and budgets."""
        origin, budget = ORIGINS[number % 2], BUDGETS[number // 2 % 4]
        for worker in self.workers:
            fresh = await Memory.load(worker.store, self.thread, ALICE)
            cached = await Memory.load(worker.store, self.thread, ALICE, worker.cache)
            if number % 17 == 0:
                fresh.leave_out_answer()
                cached.leave_out_answer()
            if not cached.is_continued:
                assert cached.recent_items == fresh.recent_items
            assert cached.user_text == fresh.user_text
            for other in (origin, ORIGINS[number % 3]):
                expected = await fresh.split_input(CONVERTER, budget=budget, origin=other)
                assert await cached.split_input(CONVERTER, budget=budget, origin=other) == expected
                expected_input = await fresh.model_input(CONVERTER, budget=budget, origin=other)
                assert await cached.model_input(CONVERTER, budget=budget, origin=other) == expected_input
                packed = await cached.packed_input(CONVERTER, budget=budget, origin=other)
                assert json.loads(body_json({"input": PlainList(packed)})) == {"input": expected_input}

    async def _sql(self, statement: str, **values: Any) -> None:
        async with self.workers[0].engine.begin() as connection:
            await connection.execute(text(statement), values)


OPERATIONS = (
    *("message", "message", "message", "retry", "action", "attach", "mention", "change", "delete"),
    *("redact_by_hand", "forget_transcript_by_hand", "prune_turn"),
)


@asynccontextmanager
async def conversation(database_url: str) -> AsyncIterator[Conversation]:
    workers = [Worker(open_engine(database_url)) for _ in range(2)]
    thread = make_thread()
    await workers[0].store.save_thread(thread, ALICE)
    try:
        yield Conversation(workers, thread)
    finally:
        for worker in workers:
            await worker.engine.dispose()


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 2000)), min_size=4, max_size=14))
def test_whatever_happens_the_cached_input_is_that_of_the_whole_thread(
    run: Callable[[Awaitable[None]], None], database_url: str, history: list[tuple[str, int]]
) -> None:
    async def live() -> None:
        async with conversation(database_url) as chat:
            for operation, number in history:
                await getattr(chat, operation)(number)
                await chat.check(number)

    run(live())


@asynccontextmanager
async def long_thread(engine: AsyncEngine, count: int) -> AsyncIterator[Conversation]:
    """A conversation of so many messages with an answer each, on one worker."""
    worker = Worker(engine)
    thread = make_thread()
    await worker.store.save_thread(thread, ALICE)
    chat = Conversation([worker, worker], thread, is_checked=False)
    for _ in range(count):
        await chat.message(4)
    yield chat


async def load_input(chat: Conversation, **options: Any) -> list[Any]:
    worker = options.pop("worker", chat.workers[0])
    memory = await Memory.load(worker.store, chat.thread, ALICE, options.pop("cache", worker.cache))
    return await memory.model_input(options.pop("converter", CONVERTER), **{"budget": 100_000, **options})


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the items that are converted from now on."""
    ids: list[str] = []
    stock = SafeConverter.to_agent_input

    async def convert(self: SafeConverter, items: Any) -> Any:
        ids.extend(item.id for item in items)
        return await stock(self, items)

    monkeypatch.setattr(SafeConverter, "to_agent_input", convert)
    return ids


def items_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each page of a history adds the number of its items."""
    read: list[int] = []
    load = SqlStore.load_history

    async def count(*arguments: Any, **options: Any) -> Any:
        page = await load(*arguments, **options)
        read.append(len(page.items))
        return page

    monkeypatch.setattr(SqlStore, "load_history", count)
    return read


async def test_the_next_turn_reads_and_converts_only_what_is_new(
    engine: AsyncEngine, converted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with long_thread(engine, 60) as chat:
        await load_input(chat)
        read = items_read(monkeypatch)
        converted.clear()
        with counted(engine) as statements:
            await load_input(chat)
        assert converted == [item.id for item in chat.items[-2:]]  # the last message and its answer
        assert read == [2]
        assert len(statements) == 2


@pytest.fixture
async def other_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The connections of another worker."""
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


async def test_a_thread_that_is_longer_than_the_budget_is_not_read_again_on_either_worker(
    engine: AsyncEngine, other_engine: AsyncEngine, converted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = items_read(monkeypatch)
    async with long_thread(engine, 40) as chat:
        chat.workers = [chat.workers[0], Worker(other_engine)]
        for worker in chat.workers:
            await load_input(chat, worker=worker, budget=300)
        lengths = set()
        for number in range(30):
            await chat.message((4, 32, 64)[number % 3])  # of different lengths
            expected = await load_input(chat, cache=None, budget=300)
            lengths.add(len(expected))
            for worker in chat.workers:
                read.clear()
                converted.clear()
                assert await load_input(chat, worker=worker, budget=300) == expected
                assert len(read) == 1  # page
                assert read[0] <= 6
                assert len({*converted}) <= 6
            assert count_tokens(expected) <= 300
            assert len(expected) < 40
        assert len(lengths) > 1


async def test_closed_exchanges_are_packed_and_what_a_neighbour_changes_is_not(engine: AsyncEngine) -> None:
    async with long_thread(engine, 12) as chat:
        worker = chat.workers[0]
        await load_input(chat)
        memory = await Memory.load(worker.store, chat.thread, ALICE, worker.cache)
        packed = await memory.packed_input(CONVERTER, budget=100_000)
        assert [type(item["content"]) for item in packed] == [PackedItems, *[type(i["content"]) for i in packed[1:]]]
        assert len(packed) < 6
        chain = worker.cache.latest(("", "alice", chat.thread.id))
        assert chain is not None
        kept = {id(exchange.whole.json) for exchange in chain.exchanges if exchange.whole is not None}
        parts = packed[0]["content"].parts
        assert (len(parts) > 8, {id(part) for part in parts} <= kept) == (True, True)  # no copies
        await chat.message(5)  # ends with a note, to which the next message is joined
        await chat.message(4)
        await chat.message(4)
        await load_input(chat)
        memory = await Memory.load(worker.store, chat.thread, ALICE, worker.cache)
        packed = await memory.packed_input(CONVERTER, budget=100_000)
        expected = await load_input(chat, cache=None)
        assert type(packed[0]["content"]) is PackedItems
        assert any(item.get("type") == "function_call" for item in packed)
        assert json.loads(body_json({"input": PlainList(packed)})) == {"input": expected}


async def test_another_converter_is_never_cached(engine: AsyncEngine) -> None:
    class Shouting(SafeConverter):
        async def user_message_to_input(self, item: Any, is_last_message: bool = True) -> Any:
            return {"type": "message", "role": "user", "content": str(item.content[0].text).upper()}

    changed = SafeConverter()
    changed.user_message_to_input = Shouting().user_message_to_input  # type: ignore[method-assign]
    async with long_thread(engine, 6) as chat:
        quiet = await load_input(chat)
        for converter in (Shouting(), changed):
            loud = await load_input(chat, converter=converter)
            assert loud == await load_input(chat, converter=converter, cache=None)
            assert loud[0]["content"].startswith("QUESTION")
        assert await load_input(chat) == quiet


async def test_what_the_code_of_an_agent_does_to_an_input_stays_with_its_turn(engine: AsyncEngine) -> None:
    async with long_thread(engine, 6) as chat:
        items = await load_input(chat)
        expected = [dict(item) for item in items]
        for item in await load_input(chat):
            item["content"] = "changed"
        assert await load_input(chat) == expected


async def test_reasoning_is_no_longer_sent_once_the_provider_has_forgotten_it(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = "acct:gpt"
    async with long_thread(engine, 0) as chat:
        for _ in range(6):
            await chat.message(25)  # with reasoning, from this origin
        kinds = [item.get("type") for item in await load_input(chat, origin=origin)]
        assert "reasoning" in kinds
        monkeypatch.setattr(thread_reading, "datetime", Later)
        kinds = [item.get("type") for item in await load_input(chat, origin=origin)]
        assert "reasoning" not in kinds


class Later(datetime):
    """The clock in a month."""

    @classmethod
    def now(cls, tz: Any = None) -> "Later":
        moment = datetime.now(tz) + timedelta(days=30)
        return cls.fromtimestamp(moment.timestamp(), tz)


async def test_the_cache_keeps_at_most_its_bytes_and_drops_what_was_used_longest_ago(engine: AsyncEngine) -> None:
    chats = []
    for _ in range(4):
        async with long_thread(engine, 6) as chat:
            chats.append(chat)
    cache = MemoryCache(10_000_000)
    await load_input(chats[0], cache=cache)
    limit = int(cache.size * 2.5)
    cache = MemoryCache(limit)
    for chat in (*chats[:2], chats[0], *chats[2:]):
        await load_input(chat, cache=cache)
        assert 0 < cache.size <= limit
    kept = [cache.latest(("", "alice", chat.thread.id)) is not None for chat in chats]
    assert kept == [False, False, True, True]
    for chat in chats[2:]:
        cache.drop(("", "alice", chat.thread.id), None)
    assert cache.size == 0


async def test_a_chain_that_is_larger_than_the_cache_is_not_kept(engine: AsyncEngine, converted: list[str]) -> None:
    async with long_thread(engine, 6) as chat:
        for limit in (0, 100):
            cache = MemoryCache(limit)
            await load_input(chat, cache=cache)
            converted.clear()
            await load_input(chat, cache=cache)
            assert (cache.size, len(converted) >= 12) == (0, True)


async def test_another_user_never_gets_a_cached_thread(engine: AsyncEngine) -> None:
    async with long_thread(engine, 6) as chat:
        worker = chat.workers[0]
        for stranger in (RequestContext("bob"), RequestContext("alice", tenant="other")):
            with pytest.raises(NotFoundError):
                await Memory.load(worker.store, chat.thread, stranger, worker.cache)


async def test_a_long_conversion_lets_other_tasks_run(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    rests = 0

    async def rest(seconds: float) -> None:
        nonlocal rests
        rests += seconds == 0

    async with long_thread(engine, 12) as chat:
        monkeypatch.setattr(thread_reading, "SLICE_SECONDS", 0)
        memory = await Memory.load(chat.workers[0].store, chat.thread, ALICE)
        monkeypatch.setattr("chatkit_server.memory.thread_reading.asyncio.sleep", rest)
        await memory.model_input(CONVERTER, budget=100_000)
    assert rests >= 11


async def test_a_chain_that_grows_loses_what_does_not_fit(engine: AsyncEngine) -> None:
    async with long_thread(engine, 0) as chat:
        for _ in range(60):
            await chat.message(4)
            await load_input(chat, budget=200)
        chain = chat.workers[0].cache.latest(("", "alice", chat.thread.id))
        assert isinstance(chain, Chain)
        assert len(chain.exchanges) < 15
