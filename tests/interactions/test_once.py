"""An action that arrives twice runs once, however quick its handler, and whatever the tab and worker of the second
click. An intended second click runs again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.types import ClientToolCallItem, ThreadItemDoneEvent, ThreadMetadata, WidgetItem
from chatkit.widgets import WidgetRoot
from pydantic import BaseModel
from sqlalchemy import update

from chatkit_server import Actions
from chatkit_server.interactions.once import OnceLimits, OnceRunner
from chatkit_server.interactions.sync_actions import SyncActions
from chatkit_store import StoreUnavailable, new_id
from chatkit_store.tables import sync_actions, turns
from tests.interactions.cards import both_databases, button, card, label, showing, the_widget, words_of
from tests.interactions.test_actions import show_card, sync
from tests.serving import Tab
from tests.support.chatkit import LiveReply, Reply
from tests.support.openai_answers import Answer
from tests.turns.chat import Chat
from tests.turns.conftest import Start

pytestmark = both_databases
both_ways = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "sync"])
CARD = showing(card(button("book"), label("free")))


class Seats(BaseModel):
    """The payload of the action."""

    count: int


class Booking:
    """A handler that counts its calls. It is quick unless `go` is cleared."""

    def __init__(self) -> None:
        self.actions = Actions()
        self.counts = list[int]()
        self.running, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()
        self.actions.on("book")(self.book)

    async def book(self, payload: Seats, sender: WidgetItem) -> WidgetRoot:
        """The new card has the number of the booking and still offers the action."""
        self.counts.append(payload.count)
        number = len(self.counts)
        self.running.set()
        await self.go.wait()
        return card(button("book"), label(f"booking {number}"))


LONG_WINDOW = OnceLimits(window=60.0)
"""A busy test machine is slow to click twice. `let_time_pass` makes runs older than this, but not old enough to be
given up."""
IMPATIENT = replace(LONG_WINDOW, wait=1.0, save=0.05, save_retry=0.02)
"""Hardly waits for a database that fails, nor for a first click that does not end."""


@pytest.fixture
def limits() -> OnceLimits:
    """The time limits of the test's apps."""
    return LONG_WINDOW


def limited(limits: OnceLimits) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("limits", [limits], ids=["limits"])


@pytest.fixture
def start(start: Start, limits: OnceLimits) -> Start:
    """Starts an app with these limits."""

    async def start_limited(*values: Any, **options: Any) -> Chat:
        chat = await start(*values, **options)
        services = chat.services
        once = OnceRunner(services.store.sync_actions, services.turns.worker_id, limits)
        chat.app.state.services = replace(services, once=once, sync_actions=SyncActions(services.server, once))
        return chat

    return start_limited


@pytest.fixture
def booking() -> Booking:
    return Booking()


async def click(tab: Tab, thread_id: str, item_id: str, *, streaming: bool, payload: Any = None) -> Reply:
    payload = {"count": 1} if payload is None else payload
    if streaming:
        return await tab.action(thread_id, "book", payload, item_id)
    return await sync(tab, thread_id, "book", payload, item_id)


def booked(reply: Reply) -> list[str]:
    """Return the texts of the card in the reply.

    A click that arrives as the first one's turn ends gets what a page gets that attaches then: the card as done. The
    widget puts either in the card's place.
    """
    assert reply.error is None
    if reply.body is not None:
        return words_of(reply.body["updated_item"])
    items = [event["item"] for event in reply.events if event["type"] in {"thread.item.replaced", "thread.item.done"}]
    return words_of(next(item for item in items if item["type"] == "widget"))


def pay(thread: ThreadMetadata) -> ClientToolCallItem:
    """Return a client tool call."""
    return ClientToolCallItem(
        id=new_id("tc"),
        thread_id=thread.id,
        created_at=datetime.now(UTC),
        call_id="call_1",
        name="pay",
        arguments={"eur": 10},
    )


async def read_call(reply: LiveReply) -> None:
    """Read until a client tool call arrives."""
    async with asyncio.timeout(10):
        while not reply.picture.tool_calls:
            assert await reply.read_frame() is not None


async def let_time_pass(chat: Chat, seconds: float = 120) -> None:
    """Move the start of all turns and non-streaming actions into the past."""
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    async with chat.sql.begin() as connection:
        await connection.execute(update(turns).values(started_at=then))
        await connection.execute(update(sync_actions).values(began_at=then))


def checked_for_repeat(chat: Chat, *, streaming: bool) -> asyncio.Event:
    """Return an event that is set when the next click has been checked for being a repeat."""
    checked: asyncio.Event = asyncio.Event()
    owner: Any = chat.services.turns if streaming else chat.services.store.sync_actions
    name = "start" if streaming else "begin"
    check = getattr(owner, name)

    async def check_and_signal(*values: Any, **options: Any) -> Any:
        first = await check(*values, **options)
        checked.set()
        return first

    setattr(owner, name, check_and_signal)
    return checked


@both_ways
async def test_a_double_click_on_a_quick_handler_runs_it_once(start: Start, booking: Booking, streaming: bool) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        replies = [await click(each, thread_id, item_id, streaming=streaming) for each in (tab, tab, other)]
        assert [booked(reply) for reply in replies] == [["booking 1"]] * 3
        assert booking.counts == [1]
        assert words_of((await tab.reload(thread_id)).of_type("widget")[0]) == ["booking 1"]


@both_ways
async def test_a_double_click_at_two_workers_runs_the_handler_once(
    start: Start, booking: Booking, streaming: bool
) -> None:
    chat, other_worker = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    async with (
        await chat.visitor() as tab,
        chat.tab(cookies=tab.cookies) as near,
        other_worker.tab(cookies=tab.cookies) as other,
    ):
        thread_id, item_id = await show_card(chat, tab)
        sequential = [await click(each, thread_id, item_id, streaming=streaming) for each in (tab, other)]
        assert [booked(reply) for reply in sequential] == [["booking 1"]] * 2
        await let_time_pass(chat)
        simultaneous = await asyncio.gather(
            *(click(each, thread_id, item_id, streaming=streaming) for each in (tab, near, other))
        )
        assert [booked(reply) for reply in simultaneous] == [["booking 2"]] * 3
        assert booking.counts == [1, 1]


async def test_a_double_click_runs_the_client_tool_once(start: Start) -> None:
    actions = Actions()

    @actions.on("book")
    async def book(thread: ThreadMetadata, sender: WidgetItem) -> AsyncIterator[ThreadItemDoneEvent]:
        for item in (sender, pay(thread)):
            yield ThreadItemDoneEvent(item=item)

    chat, other_worker = await start(CARD, actions=actions), await start(CARD, actions=actions)
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        replies = [await click(each, thread_id, item_id, streaming=True) for each in (tab, tab, other)]
        types = [[event["item"]["type"] for event in reply.of_type("thread.item.done")] for reply in replies]
        assert types == [["widget", "client_tool_call"], [], []]
        assert [reply.error for reply in replies] == [None] * 3
        chat.upstream.default = Answer("Paid.")
        assert (await tab.tool_output(thread_id, {"paid": True})).text == "Paid."


async def test_a_second_click_during_the_action_does_not_run_the_client_tool_again(start: Start) -> None:
    actions, go = Actions(), asyncio.Event()

    @actions.on("book")
    async def book(thread: ThreadMetadata, sender: WidgetItem) -> AsyncIterator[ThreadItemDoneEvent]:
        yield ThreadItemDoneEvent(item=pay(thread))
        await go.wait()
        yield ThreadItemDoneEvent(item=sender)

    chat = await start(CARD, actions=actions)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        params = {"thread_id": thread_id, "item_id": item_id, "action": {"type": "book", "payload": {"count": 1}}}
        async with tab.open("threads.custom_action", params) as first:
            await read_call(first)
            async with (
                other.open("threads.custom_action", params) as in_another_tab,
                tab.open("threads.custom_action", params) as in_the_same,
            ):
                go.set()
                for late in (in_another_tab, in_the_same):
                    await late.read()
                    assert [event["item"]["type"] for event in late.of_type("thread.item.done")] == ["widget"]


@both_ways
async def test_a_click_during_the_action_gets_its_answer_however_late(
    start: Start, booking: Booking, streaming: bool
) -> None:
    booking.go.clear()
    chat, other_worker = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    async with (
        await chat.visitor() as tab,
        chat.tab(cookies=tab.cookies) as second,
        other_worker.tab(cookies=tab.cookies) as third,
    ):
        thread_id, item_id = await show_card(chat, tab)
        first = asyncio.create_task(click(tab, thread_id, item_id, streaming=streaming))
        async with asyncio.timeout(30):
            await booking.running.wait()
        await let_time_pass(chat)
        checks = [checked_for_repeat(worker, streaming=streaming) for worker in (chat, other_worker)]
        late = [asyncio.create_task(click(each, thread_id, item_id, streaming=streaming)) for each in (second, third)]
        async with asyncio.timeout(30):
            await asyncio.gather(*(check.wait() for check in checks))
        booking.go.set()
        replies = await asyncio.gather(first, *late)
        assert [booked(reply) for reply in replies] == [["booking 1"]] * 3
        assert booking.counts == [1]
        assert ("stopped", "superseded") not in await chat.turns(thread_id)


@both_ways
async def test_a_click_after_the_window_or_with_other_values_runs_again(
    start: Start, booking: Booking, streaming: bool
) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab, await chat.visitor() as stranger:
        thread_id, item_id = await show_card(chat, tab)
        assert booked(await click(tab, thread_id, item_id, streaming=streaming)) == ["booking 1"]
        await let_time_pass(chat)
        assert booked(await click(tab, thread_id, item_id, streaming=streaming)) == ["booking 2"]
        other = await click(tab, thread_id, item_id, streaming=streaming, payload={"count": 2})
        assert booked(other) == ["booking 3"]
        assert booking.counts == [1, 1, 2]
        refused = await click(stranger, thread_id, item_id, streaming=streaming)
        assert refused.error is not None
        assert "not found" in refused.error["message"]


async def test_a_failing_sync_action_fails_both_clicks_with_the_same_error(start: Start) -> None:
    actions, clicks = Actions(), list[str]()

    @actions.on("book")
    async def book(payload: Seats) -> None:
        clicks.append("book")
        raise RuntimeError("the till is shut")

    chat, other_worker = await start(CARD, actions=actions), await start(CARD, actions=actions)
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        replies = [await click(each, thread_id, item_id, streaming=False) for each in (tab, other)]
        assert [(reply.status, reply.body["code"]) for reply in replies] == [(500, "internal_error")] * 2
        assert replies[0].body["message"] == replies[1].body["message"]
        assert clicks == ["book"]
        unfit = [await click(each, thread_id, item_id, streaming=False, payload={}) for each in (tab, other)]
        assert [(reply.status, reply.body["code"]) for reply in unfit] == [(400, "invalid_params")] * 2
        assert "count: Field required" in unfit[1].body["message"]
        await let_time_pass(chat)
        await click(tab, thread_id, item_id, streaming=False)
        assert clicks == ["book", "book"]


async def test_after_a_workers_death_the_next_click_runs_the_sync_action(start: Start, booking: Booking) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await show_card(chat, tab)
        await click(tab, thread_id, item_id, streaming=False)
        async with chat.sql.begin() as connection:
            await connection.execute(update(sync_actions).values(status="running", answer=None, worker_id="dead"))
        assert booked(await click(tab, thread_id, item_id, streaming=False)) == ["booking 2"]
        rows = await chat.select("SELECT status, worker_id FROM sync_actions")
        assert rows == [("done", chat.services.turns.worker_id)]


@limited(replace(LONG_WINDOW, wait=0.1))
async def test_a_repeat_that_waits_too_long_is_refused(start: Start, booking: Booking) -> None:
    booking.go.clear()
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        first = asyncio.create_task(click(tab, thread_id, item_id, streaming=False))
        async with asyncio.timeout(30):
            await booking.running.wait()
        late = await click(other, thread_id, item_id, streaming=False)
        assert (late.status, late.body["code"]) == (409, "action_running")
        booking.go.set()
        assert booked(await first) == ["booking 1"]
        assert words_of(the_widget(tab, thread_id)) == ["free"]


async def test_a_late_double_click_does_not_stop_the_running_action(start: Start, booking: Booking) -> None:
    chat, other_worker = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    async with (
        await chat.visitor() as tab,
        chat.tab(cookies=tab.cookies) as near,
        other_worker.tab(cookies=tab.cookies) as far,
    ):
        thread_id, item_id = await show_card(chat, tab)
        assert booked(await click(tab, thread_id, item_id, streaming=True)) == ["booking 1"]
        booking.go.clear()
        booking.running.clear()
        other = asyncio.create_task(click(tab, thread_id, item_id, streaming=True, payload={"count": 2}))
        async with asyncio.timeout(30):
            await booking.running.wait()
        for late in (near, far):
            assert (await click(late, thread_id, item_id, streaming=True)).error is None
        booking.go.set()
        assert booked(await other) == ["booking 2"]
        assert booking.counts == [1, 2]


async def test_answers_of_sync_actions_are_pruned(start: Start, booking: Booking) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await show_card(chat, tab)
        await click(tab, thread_id, item_id, streaming=False)
        await chat.services.turns._prune()
        assert len(await chat.select("SELECT id FROM sync_actions")) == 1
        await let_time_pass(chat, 3600)
        await chat.services.turns._prune()
        assert await chat.select("SELECT id FROM sync_actions") == []


class FailingStore:
    """Makes one method of the store of non-streaming actions fail the next `left` times."""

    def __init__(self, chat: Chat, step: str) -> None:
        self.left, self.is_written = 0, False
        """How often it still fails, and whether the write succeeds and only the reply is lost."""
        self._write = getattr(chat.services.store.sync_actions, step)
        setattr(chat.services.store.sync_actions, step, self._fail)

    async def _fail(self, *values: Any) -> Any:
        if self.left <= 0:
            return await self._write(*values)
        self.left -= 1
        if self.is_written:
            await self._write(*values)
        raise StoreUnavailable("the database is gone")


@limited(IMPATIENT)
async def test_an_answer_that_cannot_be_saved_is_sent_and_the_next_click_runs_again(
    start: Start, booking: Booking, caplog: pytest.LogCaptureFixture
) -> None:
    chat = await start(CARD, actions=booking.actions)
    end = FailingStore(chat, "end")
    async with await chat.visitor() as tab:
        thread_id, item_id = await show_card(chat, tab)
        end.left = 1_000_000
        assert booked(await click(tab, thread_id, item_id, streaming=False)) == ["booking 1"]
        assert "the result of an action could not be saved" in caplog.text
        end.left = 0
        await let_time_pass(chat)
        assert booked(await click(tab, thread_id, item_id, streaming=False)) == ["booking 2"]
        assert await chat.select("SELECT status FROM sync_actions") == [("done",)]


async def test_saving_an_answer_is_retried(start: Start, booking: Booking) -> None:
    chat, other_worker = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    end = FailingStore(chat, "end")
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        end.left = 2
        replies = [await click(each, thread_id, item_id, streaming=False) for each in (tab, other)]
        assert [booked(reply) for reply in replies] == [["booking 1"]] * 2
        assert booking.counts == [1]


@limited(IMPATIENT)
@pytest.mark.parametrize("is_removed", [True, False])
async def test_a_start_that_was_written_with_its_reply_lost_blocks_no_later_click(
    start: Start, booking: Booking, is_removed: bool
) -> None:
    chat, other_worker = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    begin, forget = FailingStore(chat, "begin"), FailingStore(chat, "forget")
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        begin.left, begin.is_written = 1, True
        forget.left = 0 if is_removed else 1_000_000
        failed = await click(tab, thread_id, item_id, streaming=False)
        assert (failed.status, failed.body["code"], booking.counts) == (503, "database_unavailable", [])
        forget.left = 0
        next_click = await click(other if is_removed else tab, thread_id, item_id, streaming=False)
        assert booked(next_click) == ["booking 1"]


@limited(IMPATIENT)
async def test_a_handler_that_awaits_a_cancelled_task_fails_and_the_next_click_runs(start: Start) -> None:
    actions, clicks = Actions(), list[str]()

    @actions.on("book")
    async def book() -> None:
        clicks.append("book")
        if len(clicks) == 1:
            lookup = asyncio.create_task(asyncio.sleep(60))
            lookup.cancel()
            await lookup

    chat, other_worker = await start(CARD, actions=actions), await start(CARD, actions=actions)
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await show_card(chat, tab)
        replies = [await click(each, thread_id, item_id, streaming=False) for each in (tab, other)]
        assert [(reply.status, reply.body["code"]) for reply in replies] == [(500, "internal_error")] * 2
        await let_time_pass(chat)
        assert (await click(other, thread_id, item_id, streaming=False)).status == 200
        assert clicks == ["book", "book"]
