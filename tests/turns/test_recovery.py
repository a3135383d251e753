"""Turns of dead workers are recovered once and completely, and not by a worker that was away itself."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WidgetRootUpdated,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server import AgentContext, RequestContext
from chatkit_server.events.frames import encode_event
from chatkit_server.turns.heartbeat import has_died, this_worker
from chatkit_server.turns.recovery import recover
from chatkit_store import Entry, JournalStore, NewTurn, SqlStore, TurnRecord, TurnStore, new_id
from tests.stage import CARD, Stage, stream_item
from tests.store.factories import assistant_message, make_thread, text_of, user_message
from tests.support.openai_answers import Answer
from tests.turns.coming_back import DETACH, asking, attaching, read_up_to
from tests.turns.conftest import Start
from tests.turns.crashing import silence, wake_up
from tests.turns.log import listening

USER = RequestContext(user_id="alice", tenant="acme")
RETRY = "threads.retry_after_item"


@dataclass
class Crashed:
    """The running turn of a dead worker, with its journal."""

    engine: AsyncEngine

    def __post_init__(self) -> None:
        self.store: SqlStore[RequestContext] = SqlStore(self.engine)
        self.turns = TurnStore(self.engine)
        self.journal = JournalStore(self.engine)
        self.thread = make_thread()
        self.question = user_message("Q")

    async def begin(self, *events: ThreadStreamEvent, kind: str = "threads.add_user_message") -> TurnRecord:
        """Start the turn: a retry of a question that has an old answer, or its first answer."""
        await self.store.save_thread(self.thread, USER)
        turn = NewTurn(new_id("turn"), self.thread.id, kind, "r", user_item_id=self.question.id, worker_id="here")
        if kind == RETRY:
            await self.store.add_thread_items(self.thread.id, [self.question, assistant_message("old answer")], USER)
            await self.turns.start(turn, USER, replace_after=self.question.id)
        else:
            await self.turns.start(turn, USER, items=[self.question])
        entries = [Entry(turn.id, number, encode_event(event).decode()) for number, event in enumerate(events, 1)]
        await self.journal.write(entries, "here")
        return await self.turns.load(turn.id, USER)

    async def recover(self, record: TurnRecord) -> None:
        await recover(record, self.store, self.turns, self.journal)

    async def texts(self) -> list[str]:
        page = await self.store.load_thread_items(self.thread.id, None, 99, "asc", USER)
        return [text_of(item) for item in page.data]


@pytest.fixture
def crashed(engine: AsyncEngine) -> Crashed:
    """Return the turn of a dead worker."""
    return Crashed(engine)


def opening(item: AssistantMessageItem, *deltas: str) -> list[ThreadStreamEvent]:
    """Return the events of an item that appears and gets text."""
    update = [AssistantMessageContentPartTextDelta(content_index=0, delta=delta) for delta in deltas]
    added = item.model_copy(update={"content": []})
    return [ThreadItemAddedEvent(item=added), *(ThreadItemUpdatedEvent(item_id=item.id, update=u) for u in update)]


async def test_recovery_saves_the_text_in_the_journal(crashed: Crashed) -> None:
    record = await crashed.begin(*opening(assistant_message(), "one", " two"))
    await crashed.recover(record)
    assert await crashed.texts() == ["Q", "one two"]
    assert (await crashed.turns.load(record.id, USER)).stop_reason == "crash"


async def test_recovery_of_a_retry_without_text_restores_the_old_answer(crashed: Crashed) -> None:
    record = await crashed.begin(*opening(assistant_message()), kind=RETRY)
    await crashed.recover(record)
    assert await crashed.texts() == ["Q", "old answer"]


async def test_recovery_is_idempotent(crashed: Crashed) -> None:
    record = await crashed.begin(*opening(assistant_message(), "one two"), kind=RETRY)
    await crashed.recover(record)
    await crashed.recover(record)
    assert await crashed.texts() == ["Q", "one two"]


async def test_a_turn_is_logged_as_closed_only_by_the_worker_that_closed_it(crashed: Crashed) -> None:
    record = await crashed.begin(*opening(assistant_message(), "one two"))
    with listening() as log:
        await crashed.recover(replace(record, worker_id="there"))  # it belongs to `here` meanwhile
        assert log.of(logging.WARNING) == []
        await crashed.recover(record)
    message = f"turn {record.id} was closed as interrupted: its worker died or could not save its end"
    assert log.of(logging.WARNING) == [message]


@pytest.mark.parametrize("process", ["", ":", "not a number:1", f"{10**30}:1"])
def test_a_worker_with_an_unreadable_process_is_not_declared_dead_at_once(process: str) -> None:
    assert not has_died(replace(this_worker(), process=process))


def test_only_a_process_that_has_ended_is_dead() -> None:
    worker = this_worker()
    assert not has_died(worker)
    assert has_died(replace(worker, process=f"{worker.process}0")), "its number was reused"


async def test_an_item_finished_just_before_the_crash_is_not_overwritten(crashed: Crashed) -> None:
    item = assistant_message("one two three")
    record = await crashed.begin(*opening(item, "one"))
    await crashed.store.add_thread_items(crashed.thread.id, [item], USER, turn_id=record.id)
    await crashed.recover(record)
    assert await crashed.texts() == ["Q", "one two three"]


async def test_an_undecodable_event_is_skipped(crashed: Crashed) -> None:
    record = await crashed.begin(*opening(assistant_message(), "one"))
    await crashed.journal.write([Entry(record.id, 9, '{"type":"thread.item.done","item":{"type":"widget"}}')], "here")
    await crashed.journal.write([Entry(record.id, 10, '{"type":"from.the.future"}')], "here")
    await crashed.recover(record)
    assert await crashed.texts() == ["Q", "one"]


async def test_an_item_that_the_database_refuses_does_not_affect_the_others(crashed: Crashed) -> None:
    """The id belongs to another thread, as `__fake_id__` might."""
    other = make_thread()
    await crashed.store.save_thread(other, USER)
    taken, free = assistant_message("theirs"), assistant_message()
    await crashed.store.add_thread_item(other.id, taken, USER)
    record = await crashed.begin(*opening(taken, "mine"), *opening(free, "free"))
    await crashed.recover(record)
    assert await crashed.texts() == ["Q", "free"]
    assert (await crashed.turns.load(record.id, USER)).status == "interrupted"


async def test_a_turn_ends_even_if_all_its_items_are_refused(start: Start) -> None:
    stage = Stage()

    async def fake(context: AgentContext) -> str:
        thread = context.thread
        item = AssistantMessageItem(
            id="__fake_id__",
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text="said")],
        )
        await context.stream(ThreadItemAddedEvent(item=item))
        return "done"

    chat = await start(stage.agent, server=stage.factory())
    async with await chat.visitor() as tab:
        for _ in range(2):
            stage.play_tool(fake)
            thread_id = (await tab.create("Go")).thread_id
            stage.play("fine")
            assert (await tab.send(thread_id, "And?")).text == "fine"
    assert {status for status, _ in await chat.select("SELECT status, id FROM turns")} <= {"completed", "failed"}


@pytest.mark.parametrize("journal_ms", [250, 0])
async def test_a_row_is_reopened_only_after_the_journal_is_written(
    start: Start, monkeypatch: pytest.MonkeyPatch, journal_ms: int
) -> None:
    """Recovery deletes open rows that the journal does not know."""
    stage, opened = Stage(), list[bool]()
    save: Any = SqlStore.add_thread_items

    async def note(self: Any, thread_id: str, *args: Any, **more: Any) -> None:
        if more.get("still_open"):
            payloads = await chat.select("SELECT payload FROM turn_events")
            is_known = any("thread.item.added" in payload for (payload,) in payloads)
            opened.append(is_known or "turn_id" in more)
        await save(self, thread_id, *args, **more)

    async def show(context: AgentContext) -> str:
        widget = await stream_item(context, "widget")
        await context.stream(ThreadItemUpdatedEvent(item_id=widget.id, update=WidgetRootUpdated(widget=CARD)))
        return "shown"

    chat = await start(stage.agent, server=stage.factory(), journal_ms=journal_ms)
    monkeypatch.setattr(SqlStore, "add_thread_items", note)
    stage.play_tool(show)
    async with await chat.visitor() as tab:
        await tab.create("Show")
    assert all(opened)
    assert bool(opened) is (journal_ms > 0)
    assert await chat.select("SELECT id FROM thread_items WHERE open") == []


async def test_a_worker_declares_nobody_dead_right_after_its_own_pause(start: Start) -> None:
    here, there = await start(heartbeat_seconds=60), await start(heartbeat_seconds=60)
    here.upstream.script(Answer("one two three", hang_after=2))
    async with await here.visitor() as tab, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        await silence(here)
        await wake_up(there)
        assert await here.turns(first.thread_id) == [("running", None)]
        await there.services.turns._heartbeat.beat()
        assert await here.turns(first.thread_id) == [("interrupted", "crash")]
        await here.services.turns._heartbeat.beat()
        await first.read()
        assert first.error is not None
        assert first.error["allow_retry"]


async def test_concurrent_readers_of_a_remote_turn_share_one_object(start: Start) -> None:
    here, there = await start(), await start()
    here.upstream.script(Answer("one two three", hang_after=2))
    async with await here.visitor() as tab, asking(tab, "Count", DETACH) as first:
        await read_up_to(first, "one two")
        user = await here.owner(first.thread_id)
        turns = there.services.turns
        one, other = await turns.running_on(first.thread_id, user), await turns.running_on(first.thread_id, user)
        assert one is other
        here.upstream.release()
        await first.read()


async def test_a_remote_reader_gets_no_events_of_the_next_turn(start: Start) -> None:
    here, there = await start(), await start()
    here.upstream.script(Answer("one two three", hang_after=2), Answer("five"))
    async with await here.visitor() as tab, there.tab(cookies=tab.cookies) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            assert (await tab.send(first.thread_id, "Go on")).text == "five"
            await again.read()
        assert again.picture.texts() == [("user", "Count"), ("assistant", "one two")]


async def test_hidden_items_stay_hidden_while_they_are_saved(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """See T27."""
    stage, open_types = Stage(), list[str]()
    save: Any = SqlStore.add_thread_items

    async def slow(
        self: SqlStore[RequestContext], thread_id: str, new: list[object], *args: object, **more: object
    ) -> None:
        for turn in chat.services.turns._local._running.values():
            open_types.extend(item.type for item in turn.open_items())
        await save(self, *args, **more)

    async def hide(context: AgentContext) -> str:
        await stream_item(context, "hidden_context_item")
        await stream_item(context, "client_tool_call")
        return "hidden"

    chat = await start(stage.agent, server=stage.factory())
    monkeypatch.setattr(SqlStore, "add_thread_items", slow)
    stage.play_tool(hide)
    async with await chat.visitor() as tab:
        await tab.create("Hide")
    assert "hidden_context_item" not in open_types
    assert "client_tool_call" not in open_types
