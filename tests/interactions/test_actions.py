"""Handlers: found by action type, called with the parameters they name, and refused with clear errors."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chatkit.actions import Action
from chatkit.types import (
    ClosedStatus,
    LockedStatus,
    NoticeEvent,
    SyncCustomActionResponse,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStatus,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widgets import WidgetRoot
from pydantic import BaseModel

from chatkit_server import Actions, ChatServer, RequestContext, on_action
from tests.interactions.cards import both_databases, button, card, label, showing, the_widget, words_of
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.chat import Chat
from tests.turns.conftest import Start


class Seats(BaseModel):
    """The payload of the tests' actions."""

    count: int
    window: bool = False


async def show_card(chat: Chat, tab: Tab) -> tuple[str, str]:
    """Create a thread with a card; return the ids of both."""
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("Here it is."))
    thread_id = (await tab.create("Show it")).thread_id
    return thread_id, the_widget(tab, thread_id)["id"]


async def sync(tab: Tab, thread_id: str, type: str, payload: Any = None, item_id: str | None = None) -> Reply:
    """Send an action with `streaming: false`."""
    params: Json = {"thread_id": thread_id, "action": {"type": type, "payload": payload}, "item_id": item_id}
    return await tab.post("threads.sync_custom_action", params)


async def test_a_handler_gets_a_typed_payload_and_answers_with_the_new_widget(start: Start) -> None:
    actions, calls = Actions(), list[Any]()

    @actions.on("book")
    async def book(payload: Seats, thread: ThreadMetadata, context: RequestContext, server: ChatServer) -> WidgetRoot:
        calls.append((payload, thread.id, context.user_id, type(server)))
        return card(label(f"{payload.count} seats"), button("book"))

    chat = await start(showing(card(label("How many?"), button("book"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await show_card(chat, tab)
        streamed = await tab.action(thread_id, "book", {"count": "2"}, item_id)
        assert (streamed.types, words_of(the_widget(tab, thread_id))) == (
            ["stream_options", "thread.item.replaced"],
            ["2 seats"],
        )
        at_once = await sync(tab, thread_id, "book", {"count": 3, "window": True}, item_id)
        assert (at_once.status, words_of(at_once.body["updated_item"])) == (200, ["3 seats"])
        assert [words_of(item) for item in (await tab.reload(thread_id)).of_type("widget")] == [["3 seats"]]
        user = (await chat.owner(thread_id)).user_id
        expected = [Seats(count=2), Seats(count=3, window=True)]
        assert calls == [(seats, thread_id, user, ChatServer) for seats in expected]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"count": "many"}, "count: Input should be a valid integer"),
        ({}, "count: Field required"),
        (None, "payload: Input should be"),
    ],
)
async def test_an_invalid_payload_is_refused_before_anything_runs(start: Start, payload: Any, reason: str) -> None:
    actions = Actions()

    @actions.on("book")
    async def book(payload: Seats) -> None:
        raise AssertionError("it ran")

    chat = await start(showing(card(button("book"))), actions=actions)
    async with await chat.visitor() as tab, chat.tab(frame=False, cookies=tab.cookies) as script:
        thread_id, item_id = await show_card(chat, tab)
        turns = await chat.turns(thread_id)
        for reply in (
            await tab.action(thread_id, "book", payload, item_id),
            await script.action(thread_id, "book", payload, item_id),
            await sync(tab, thread_id, "book", payload, item_id),
        ):
            assert reply.error is not None
            assert "The action “book” got an invalid payload." in reply.error["message"]
            assert reason in reply.error["message"]
            assert "many" not in reply.error["message"]
        assert (await script.action(thread_id, "book", payload)).status == 400
        assert await chat.turns(thread_id) == turns


async def test_an_unknown_type_and_a_missing_widget_are_clear_errors(start: Start) -> None:
    actions = Actions()

    @actions.on("close")
    async def close(sender: WidgetItem) -> None:
        raise AssertionError("it ran")

    @actions.on("watch")
    async def watch() -> AsyncIterator[ThreadStreamEvent]:
        yield NoticeEvent(level="info", message="watching")

    chat = await start(showing(card(button("close"))), actions=actions)
    async with await chat.visitor() as tab, chat.tab(frame=False, cookies=tab.cookies) as script:
        thread_id, _ = await show_card(chat, tab)
        unknown = await script.action(thread_id, "clsoe")
        assert (unknown.status, unknown.body["code"]) == (501, "not_available")
        assert "“clsoe”" in unknown.body["message"]
        from_the_page = await script.action(thread_id, "close")
        assert (from_the_page.status, from_the_page.body["code"]) == (400, "invalid_item")
        assert "can only come from a widget" in from_the_page.body["message"]
        not_streaming = await sync(tab, thread_id, "watch")
        assert (not_streaming.status, not_streaming.body["code"]) == (501, "not_available")
        assert "streaming: false" in not_streaming.body["message"]
        assert "watching" in str((await tab.action(thread_id, "watch")).events)


async def test_marked_methods_of_a_server_are_handlers_and_overriding_action_works(start: Start) -> None:
    class MyServer(ChatServer):
        @on_action("marked")
        async def by_mark(self, payload: Seats, sender: WidgetItem) -> AsyncIterator[ThreadStreamEvent]:
            assert isinstance(self, MyServer)
            widget = card(label(f"marked {payload.count}"))
            yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))

        def action(
            self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
        ) -> AsyncIterator[ThreadStreamEvent]:
            if action.type != "own":
                return super().action(thread, action, sender, context)
            return self.own(sender)

        async def own(self, sender: WidgetItem | None) -> AsyncIterator[ThreadStreamEvent]:
            assert sender is not None
            yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": card(label("own way"))}))

    chat = await start(showing(card(button("marked"), button("own"))), server=MyServer)
    async with await chat.visitor() as tab:
        for type, words in (("marked", "marked 1"), ("own", "own way")):
            thread_id, item_id = await show_card(chat, tab)
            assert (await tab.action(thread_id, type, {"count": 1}, item_id)).error is None
            assert words_of(the_widget(tab, thread_id)) == [words]
            assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


async def test_a_handler_may_return_another_item_or_nothing(start: Start) -> None:
    actions = Actions()

    @actions.on("copy")
    async def copy(sender: WidgetItem) -> WidgetItem:
        return sender.model_copy(update={"id": f"{sender.id}b"})

    @actions.on("nothing")
    async def nothing() -> SyncCustomActionResponse:
        return SyncCustomActionResponse()

    chat = await start(showing(card(label("one"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await show_card(chat, tab)
        assert (await tab.action(thread_id, "copy", item_id=item_id)).types == ["stream_options", "thread.item.done"]
        assert (await tab.action(thread_id, "nothing")).types == ["stream_options"]
        assert (await sync(tab, thread_id, "nothing")).body == {}
        widgets = (await tab.reload(thread_id)).of_type("widget")
        assert [widget["id"] for widget in widgets] == [item_id, f"{item_id}b"]


@both_databases
async def test_an_action_that_the_widget_no_longer_offers_is_refused(start: Start) -> None:
    actions, clicks = Actions(), list[Any]()

    @actions.on("book")
    async def book(sender: WidgetItem) -> WidgetRoot:
        clicks.append(sender.id)
        return card(label("booked"), button("cancel"))

    chat = await start(showing(card(button("book"))), actions=actions)
    async with await chat.visitor() as tab, chat.tab(frame=False, cookies=tab.cookies) as script:
        thread_id, item_id = await show_card(chat, tab)
        await tab.action(thread_id, "book", {"n": 1}, item_id)
        again = await tab.action(thread_id, "book", {"n": 2}, item_id)  # an equal action would be a double click
        assert again.types == ["error"]
        assert "no longer offers" in again.events[0]["message"]
        plain = await script.action(thread_id, "book", {"n": 2}, item_id)
        assert (plain.status, plain.body["code"]) == (409, "action_gone")
        assert (await sync(tab, thread_id, "book", {"n": 1}, item_id)).status == 409
        assert clicks == [item_id]
        made_up = await script.action(thread_id, "never.offered", item_id=item_id)
        assert made_up.body["code"] == "not_available"  # the page itself may send actions that no widget has offered
        await tab.action(thread_id, "book", {"n": 1})
        assert len(clicks) == 1
        rows = await chat.select("SELECT type FROM widget_actions WHERE item_id = :id ORDER BY type", id=item_id)
        assert rows == [("book",), ("cancel",)]


async def test_a_double_click_runs_a_sync_action_once(start: Start) -> None:
    actions, release, running, both = Actions(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    clicks = list[Any]()

    @actions.on("book")
    async def book(payload: Seats, sender: WidgetItem) -> WidgetRoot:
        clicks.append(payload.count)
        (both if running.is_set() else running).set()
        await release.wait()
        return card(label("booked"), button("book"))

    chat = await start(showing(card(button("book"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, item_id = await show_card(chat, tab)
        first = asyncio.create_task(sync(tab, thread_id, "book", {"count": 1}, item_id))
        await running.wait()
        second = asyncio.create_task(sync(tab, thread_id, "book", {"count": 1}, item_id))
        other = asyncio.create_task(sync(tab, thread_id, "book", {"count": 2}, item_id))
        async with asyncio.timeout(30):
            await both.wait()
        await tab.list()  # by now the second click has been received
        release.set()
        replies = [await first, await second, await other]
        assert [words_of(reply.body["updated_item"]) for reply in replies] == [["booked"]] * 3
        assert sorted(clicks) == [1, 2]


@pytest.mark.parametrize(
    ("status", "code"), [(LockedStatus(), "thread_locked"), (ClosedStatus(), "thread_closed")], ids=["locked", "closed"]
)
async def test_a_locked_or_closed_thread_refuses_actions(start: Start, status: ThreadStatus, code: str) -> None:
    actions = Actions()

    @actions.on("book")
    async def book() -> None:
        raise AssertionError("it ran")

    chat = await start(showing(card(button("book"))), actions=actions)
    async with await chat.visitor() as tab, chat.tab(frame=False, cookies=tab.cookies) as script:
        thread_id, item_id = await show_card(chat, tab)
        thread, owner = await chat.load_thread(thread_id), await chat.owner(thread_id)
        thread.status = status
        await chat.services.store.save_thread(thread, owner)
        assert (await tab.action(thread_id, "book", item_id=item_id)).types == ["error"]
        for reply in (
            await script.action(thread_id, "book", item_id=item_id),
            await sync(tab, thread_id, "book", item_id=item_id),
        ):
            assert (reply.status, reply.body["code"]) == (409, code)


def test_a_second_handler_and_an_invalid_handler_are_refused() -> None:
    actions = Actions()

    @actions.on("x")
    async def handler() -> None: ...

    with pytest.raises(ValueError, match="two handlers answer the action 'x'"):
        actions.on("x")(handler)
    with pytest.raises(ValueError, match="two handlers"):
        actions.include(actions)

    async def has_unknown_parameter(payload: int, colour: str) -> None: ...

    with pytest.raises(
        TypeError, match="unknown parameters: colour; it can have action, agent_context, context, payload"
    ):
        actions.on("y")(has_unknown_parameter)

    def is_not_async() -> None: ...

    with pytest.raises(TypeError, match="must be `async def`"):
        actions.on("z")(is_not_async)
