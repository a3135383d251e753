"""An action that comes twice is done once, however quick it was, in whatever tab and at whatever worker the second one
is clicked; a second click that is meant is done."""

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
from tests.interactions.test_actions import shown, sync
from tests.serving import Tab
from tests.support.chatkit import LiveReply, Reply
from tests.support.openai_answers import Answer
from tests.turns.chat import Chat
from tests.turns.conftest import Start

pytestmark = both_databases
both_ways = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "sync"])
CARD = showing(card(button("book"), label("free")))


class Seats(BaseModel):
    """What the action brings."""

    count: int


class Booking:
    """A handler that counts; it is quick, unless it is held."""

    def __init__(self) -> None:
        self.actions = Actions()
        self.counts = list[int]()
        self.running, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()
        self.actions.on("book")(self.book)

    async def book(self, payload: Seats, sender: WidgetItem) -> WidgetRoot:
        """The card says which booking it was; it goes on offering the action."""
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
    """The words of the card that the reply brings."""
    assert reply.error is None
    if reply.body is not None:
        return words_of(reply.body["updated_item"])
    items = [event["item"] for event in reply.of_type("thread.item.replaced")]
    return words_of(next(item for item in items if item["type"] == "widget"))


def pay(thread: ThreadMetadata) -> ClientToolCallItem:
    """A call of a tool that runs in the page."""
    return ClientToolCallItem(
        id=new_id("tc"),
        thread_id=thread.id,
        created_at=datetime.now(UTC),
        call_id="call_1",
        name="pay",
        arguments={"eur": 10},
    )


async def read_call(reply: LiveReply) -> None:
    """Reads until the page got a call of its tools."""
    async with asyncio.timeout(10):
        while not reply.picture.tool_calls:
            assert await reply.read_frame() is not None


async def let_time_pass(chat: Chat, seconds: float = 120) -> None:
    """All that was begun until now was begun so long ago."""
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    async with chat.sql.begin() as connection:
        await connection.execute(update(turns).values(started_at=then))
        await connection.execute(update(sync_actions).values(began_at=then))


def joining(chat: Chat, *, streaming: bool) -> asyncio.Event:
    """Set when the next click has found out whether it is the first."""
    found: asyncio.Event = asyncio.Event()
    owner: Any = chat.services.turns if streaming else chat.services.store.sync_actions
    name = "start" if streaming else "begin"
    look = getattr(owner, name)

    async def look_and_tell(*values: Any, **options: Any) -> Any:
        first = await look(*values, **options)
        found.set()
        return first

    setattr(owner, name, look_and_tell)
    return found


@both_ways
async def test_a_double_click_on_a_quick_handler_runs_it_once(start: Start, booking: Booking, streaming: bool) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(chat, tab)
        replies = [await click(one, thread_id, item_id, streaming=streaming) for one in (tab, tab, other)]
        assert [booked(reply) for reply in replies] == [["booking 1"]] * 3
        assert booking.counts == [1]
        assert words_of((await tab.reload(thread_id)).of_type("widget")[0]) == ["booking 1"]


@both_ways
async def test_a_double_click_at_two_workers_runs_the_handler_once(
    start: Start, booking: Booking, streaming: bool
) -> None:
    here, there = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    async with (
        await here.visitor() as tab,
        here.tab(cookies=tab.cookies) as near,
        there.tab(cookies=tab.cookies) as other,
    ):
        thread_id, item_id = await shown(here, tab)
        one_after_another = [await click(one, thread_id, item_id, streaming=streaming) for one in (tab, other)]
        assert [booked(reply) for reply in one_after_another] == [["booking 1"]] * 2
        await let_time_pass(here)
        at_once = await asyncio.gather(
            *(click(one, thread_id, item_id, streaming=streaming) for one in (tab, near, other))
        )
        assert [booked(reply) for reply in at_once] == [["booking 2"]] * 3
        assert booking.counts == [1, 1]


async def test_a_double_click_runs_the_pages_tool_once(start: Start) -> None:
    actions = Actions()

    @actions.on("book")
    async def book(thread: ThreadMetadata, sender: WidgetItem) -> AsyncIterator[ThreadItemDoneEvent]:
        for item in (sender, pay(thread)):
            yield ThreadItemDoneEvent(item=item)

    here, there = await start(CARD, actions=actions), await start(CARD, actions=actions)
    async with await here.visitor() as tab, there.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(here, tab)
        replies = [await click(one, thread_id, item_id, streaming=True) for one in (tab, tab, other)]
        told = [[event["item"]["type"] for event in reply.of_type("thread.item.done")] for reply in replies]
        assert told == [["widget", "client_tool_call"], [], []]
        assert [reply.error for reply in replies] == [None] * 3
        here.upstream.default = Answer("Paid.")
        assert (await tab.tool_output(thread_id, {"paid": True})).text == "Paid."


async def test_a_second_click_on_what_still_runs_does_not_run_the_pages_tool_again(start: Start) -> None:
    actions, go = Actions(), asyncio.Event()

    @actions.on("book")
    async def book(thread: ThreadMetadata, sender: WidgetItem) -> AsyncIterator[ThreadItemDoneEvent]:
        yield ThreadItemDoneEvent(item=pay(thread))
        await go.wait()
        yield ThreadItemDoneEvent(item=sender)

    chat = await start(CARD, actions=actions)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(chat, tab)
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
async def test_who_clicks_while_it_is_done_gets_its_answer_however_late(
    start: Start, booking: Booking, streaming: bool
) -> None:
    booking.go.clear()
    here, there = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    async with (
        await here.visitor() as tab,
        here.tab(cookies=tab.cookies) as second,
        there.tab(cookies=tab.cookies) as third,
    ):
        thread_id, item_id = await shown(here, tab)
        first = asyncio.create_task(click(tab, thread_id, item_id, streaming=streaming))
        async with asyncio.timeout(5):
            await booking.running.wait()
        await let_time_pass(here)
        have_joined = [joining(chat, streaming=streaming) for chat in (here, there)]
        late = [asyncio.create_task(click(one, thread_id, item_id, streaming=streaming)) for one in (second, third)]
        async with asyncio.timeout(5):
            await asyncio.gather(*(joined.wait() for joined in have_joined))
        booking.go.set()
        replies = await asyncio.gather(first, *late)
        assert [booked(reply) for reply in replies] == [["booking 1"]] * 3
        assert booking.counts == [1]
        assert ("stopped", "superseded") not in await here.turns(thread_id)


@both_ways
async def test_a_click_after_a_moment_or_with_other_values_is_meant(
    start: Start, booking: Booking, streaming: bool
) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab, await chat.visitor() as stranger:
        thread_id, item_id = await shown(chat, tab)
        assert booked(await click(tab, thread_id, item_id, streaming=streaming)) == ["booking 1"]
        await let_time_pass(chat)
        assert booked(await click(tab, thread_id, item_id, streaming=streaming)) == ["booking 2"]
        other = await click(tab, thread_id, item_id, streaming=streaming, payload={"count": 2})
        assert booked(other) == ["booking 3"]
        assert booking.counts == [1, 1, 2]
        refused = await click(stranger, thread_id, item_id, streaming=streaming)
        assert refused.error is not None
        assert "not found" in refused.error["message"]


async def test_a_sync_action_that_fails_fails_both_clicks_with_the_same_words(start: Start) -> None:
    actions, clicks = Actions(), list[str]()

    @actions.on("book")
    async def book(payload: Seats) -> None:
        clicks.append("book")
        raise RuntimeError("the till is shut")

    here, there = await start(CARD, actions=actions), await start(CARD, actions=actions)
    async with await here.visitor() as tab, there.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(here, tab)
        replies = [await click(one, thread_id, item_id, streaming=False) for one in (tab, other)]
        assert [(reply.status, reply.body["code"]) for reply in replies] == [(500, "internal_error")] * 2
        assert replies[0].body["message"] == replies[1].body["message"]
        assert clicks == ["book"]
        unfit = [await click(one, thread_id, item_id, streaming=False, payload={}) for one in (tab, other)]
        assert [(reply.status, reply.body["code"]) for reply in unfit] == [(400, "invalid_params")] * 2
        assert "count: Field required" in unfit[1].body["message"]
        await let_time_pass(here)
        await click(tab, thread_id, item_id, streaming=False)
        assert clicks == ["book", "book"]


async def test_a_sync_action_whose_worker_died_is_done_by_the_next_click(start: Start, booking: Booking) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await shown(chat, tab)
        await click(tab, thread_id, item_id, streaming=False)
        async with chat.sql.begin() as connection:
            await connection.execute(update(sync_actions).values(status="running", answer=None, worker_id="dead"))
        assert booked(await click(tab, thread_id, item_id, streaming=False)) == ["booking 2"]
        rows = await chat.select("SELECT status, worker_id FROM sync_actions")
        assert rows == [("done", chat.services.turns.worker_id)]


@limited(replace(LONG_WINDOW, wait=0.1))
async def test_who_waits_too_long_for_the_first_click_is_told_so(start: Start, booking: Booking) -> None:
    booking.go.clear()
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(chat, tab)
        first = asyncio.create_task(click(tab, thread_id, item_id, streaming=False))
        async with asyncio.timeout(5):
            await booking.running.wait()
        late = await click(other, thread_id, item_id, streaming=False)
        assert (late.status, late.body["code"]) == (409, "action_running")
        booking.go.set()
        assert booked(await first) == ["booking 1"]
        assert words_of(the_widget(tab, thread_id)) == ["free"]


async def test_a_late_double_click_does_not_stop_what_runs_by_then(start: Start, booking: Booking) -> None:
    here, there = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    async with (
        await here.visitor() as tab,
        here.tab(cookies=tab.cookies) as near,
        there.tab(cookies=tab.cookies) as far,
    ):
        thread_id, item_id = await shown(here, tab)
        assert booked(await click(tab, thread_id, item_id, streaming=True)) == ["booking 1"]
        booking.go.clear()
        booking.running.clear()
        other = asyncio.create_task(click(tab, thread_id, item_id, streaming=True, payload={"count": 2}))
        async with asyncio.timeout(5):
            await booking.running.wait()
        for late in (near, far):
            assert (await click(late, thread_id, item_id, streaming=True)).error is None
        booking.go.set()
        assert booked(await other) == ["booking 2"]
        assert booking.counts == [1, 2]


async def test_what_sync_actions_answered_is_forgotten_soon(start: Start, booking: Booking) -> None:
    chat = await start(CARD, actions=booking.actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await shown(chat, tab)
        await click(tab, thread_id, item_id, streaming=False)
        await chat.services.turns._prune()
        assert len(await chat.select("SELECT id FROM sync_actions")) == 1
        await let_time_pass(chat, 3600)
        await chat.services.turns._prune()
        assert await chat.select("SELECT id FROM sync_actions") == []


class Failing:
    """The database fails when a sync action begins, or when it ends, as often as is asked for."""

    def __init__(self, chat: Chat, step: str) -> None:
        self.left, self.is_written = 0, False
        """How often it fails; and whether all but the word of it is lost."""
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
async def test_an_answer_whose_end_cannot_be_noted_is_given_and_the_next_click_is_done(
    start: Start, booking: Booking, caplog: pytest.LogCaptureFixture
) -> None:
    chat = await start(CARD, actions=booking.actions)
    end = Failing(chat, "end")
    async with await chat.visitor() as tab:
        thread_id, item_id = await shown(chat, tab)
        end.left = 1_000_000
        assert booked(await click(tab, thread_id, item_id, streaming=False)) == ["booking 1"]
        assert "cannot save how an action ended" in caplog.text
        end.left = 0
        await let_time_pass(chat)
        assert booked(await click(tab, thread_id, item_id, streaming=False)) == ["booking 2"]
        assert await chat.select("SELECT status FROM sync_actions") == [("done",)]


async def test_an_end_that_cannot_be_noted_at_once_is_noted_a_little_later(start: Start, booking: Booking) -> None:
    here, there = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    end = Failing(here, "end")
    async with await here.visitor() as tab, there.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(here, tab)
        end.left = 2
        replies = [await click(one, thread_id, item_id, streaming=False) for one in (tab, other)]
        assert [booked(reply) for reply in replies] == [["booking 1"]] * 2
        assert booking.counts == [1]


@limited(IMPATIENT)
@pytest.mark.parametrize("is_noted", [True, False])
async def test_a_beginning_that_was_written_though_the_database_failed_is_in_nobodys_way(
    start: Start, booking: Booking, is_noted: bool
) -> None:
    here, there = await start(CARD, actions=booking.actions), await start(CARD, actions=booking.actions)
    begin, forget = Failing(here, "begin"), Failing(here, "forget")
    async with await here.visitor() as tab, there.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(here, tab)
        begin.left, begin.is_written = 1, True
        forget.left = 0 if is_noted else 1_000_000
        failed = await click(tab, thread_id, item_id, streaming=False)
        assert (failed.status, failed.body["code"], booking.counts) == (503, "database_unavailable", [])
        forget.left = 0
        next_click = await click(other if is_noted else tab, thread_id, item_id, streaming=False)
        assert booked(next_click) == ["booking 1"]


@limited(IMPATIENT)
async def test_a_handler_whose_task_was_cancelled_fails_and_the_next_click_is_done(start: Start) -> None:
    actions, clicks = Actions(), list[str]()

    @actions.on("book")
    async def book() -> None:
        clicks.append("book")
        if len(clicks) == 1:
            lookup = asyncio.create_task(asyncio.sleep(10))
            lookup.cancel()
            await lookup

    here, there = await start(CARD, actions=actions), await start(CARD, actions=actions)
    async with await here.visitor() as tab, there.tab(cookies=tab.cookies) as other:
        thread_id, item_id = await shown(here, tab)
        replies = [await click(one, thread_id, item_id, streaming=False) for one in (tab, other)]
        assert [(reply.status, reply.body["code"]) for reply in replies] == [(500, "internal_error")] * 2
        await let_time_pass(here)
        assert (await click(other, thread_id, item_id, streaming=False)).status == 200
        assert clicks == ["book", "book"]
