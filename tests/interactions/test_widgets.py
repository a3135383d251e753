"""Widgets are saved as they are shown: live, after a reload, after a restart, and when a later turn changes them."""

import json
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chatkit.types import (
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
)
from chatkit.widgets import DynamicWidgetComponent

from chatkit_server import Actions
from chatkit_store import new_id
from tests.interactions.cards import button, card, label, showing, showing_live, the_widget, words_of
from tests.serving import Tab
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.chat import Chat
from tests.turns.conftest import Start

SHOW = (Answer(tool_calls=[ToolCall("show")]), Answer("Here it is."))


async def show_card(chat: Chat, tab: Tab) -> tuple[str, Json]:
    """Create a thread with a card; return the thread's id and the widget item."""
    chat.upstream.script(*SHOW)
    thread_id = (await tab.create("Show it")).thread_id
    return thread_id, the_widget(tab, thread_id)


async def payload(chat: Chat, item: Json) -> Json:
    """Return the stored payload of the item."""
    ((text,),) = await chat.select("SELECT payload FROM thread_items WHERE id = :id", id=item["id"])
    value: Json = json.loads(text)
    return value


async def test_a_property_that_chatkit_does_not_know_survives_the_database(start: Start) -> None:
    """chatkit's named classes drop unknown properties, so a newer `.widget` file would lose some."""
    chat = await start(showing(card(label("new", sparkle=3), glow={"a": [1]})))
    async with await chat.visitor() as tab:
        thread_id, widget = await show_card(chat, tab)
        assert widget["widget"]["glow"] == {"a": [1]}
        assert (await tab.reload(thread_id)).of_type("widget") == [widget]


async def test_a_live_widget_is_saved_as_it_ended(start: Start) -> None:
    states = [card(label(text, streaming=text != "one two")) for text in ("", "one", "one two")]
    chat = await start(showing_live(*states, card(label("one two"), button("go"))))
    async with await chat.visitor() as tab:
        thread_id, widget = await show_card(chat, tab)
        assert words_of(widget) == ["one two"]
        assert [child["type"] for child in widget["widget"]["children"]] == ["Text", "Button"]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


async def test_the_model_reads_the_widget_in_the_next_turn(start: Start) -> None:
    chat = await start(showing(card(label("forty-two"))))
    async with await chat.visitor() as tab:
        thread_id, _ = await show_card(chat, tab)
        await tab.send(thread_id, "What does it say?")
        assert "forty-two" in str(chat.upstream.requests[-1].body["input"])


UPDATES: dict[str, tuple[Any, list[str]]] = {
    "root": (WidgetRootUpdated(widget=card(label("new"))), ["new"]),
    "component": (
        WidgetComponentUpdated(component_id="label", component=DynamicWidgetComponent.model_validate(label("changed"))),
        ["changed"],
    ),
    "text": (WidgetStreamingTextValueDelta(component_id="label", delta=" more", done=True), ["old more"]),
}


@pytest.mark.parametrize("kind", UPDATES)
async def test_an_update_of_an_earlier_turns_widget_is_saved(start: Start, kind: str) -> None:
    update, words = UPDATES[kind]
    actions = Actions()

    @actions.on("change")
    async def change(sender: WidgetItem) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemUpdatedEvent(item_id=sender.id, update=update)

    chat = await start(showing(card(label("old"), button("change"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, widget = await show_card(chat, tab)
        reply = await tab.action(thread_id, "change", item_id=widget["id"])
        assert reply.error is None
        assert words_of(the_widget(tab, thread_id)) == words
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert words_of(await payload(chat, widget)) == words
        again = await start(showing(card(label("old"))))
        async with again.tab(cookies=tab.cookies) as restarted:
            assert words_of(the_widget_of(await restarted.reload(thread_id))) == words
        await tab.send(thread_id, "Now?")
        assert f'"{words[0]}"' in str(chat.upstream.requests[-1].body["input"])


def the_widget_of(picture: Any) -> Json:
    (widget,) = picture.of_type("widget")
    item: Json = widget
    return item


async def test_a_stored_widget_can_be_opened_again_and_grow(start: Start) -> None:
    actions = Actions()

    @actions.on("grow")
    async def grow(sender: WidgetItem) -> AsyncIterator[ThreadStreamEvent]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield ThreadItemAddedEvent(item=sender.model_copy(deep=True))
        for word in (" and", " more"):
            delta = WidgetStreamingTextValueDelta(component_id="label", delta=word, done=word == " more")
            yield ThreadItemUpdatedEvent(item_id=sender.id, update=delta)

    chat = await start(showing(card(label("old"), button("grow"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, widget = await show_card(chat, tab)
        await tab.action(thread_id, "grow", item_id=widget["id"])
        assert words_of(the_widget(tab, thread_id)) == ["old and more"]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


async def test_an_update_of_an_unknown_item_changes_nothing(start: Start) -> None:
    actions = Actions()

    @actions.on("change")
    async def change() -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemUpdatedEvent(item_id="msg_nothing", update=WidgetRootUpdated(widget=card(label("new"))))

    chat = await start(showing(card(label("old"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, widget = await show_card(chat, tab)
        assert (await tab.action(thread_id, "change")).error is None
        assert (await tab.reload(thread_id)).of_type("widget") == [widget]


async def test_a_widget_added_after_an_update_of_another_stays_below_it(start: Start) -> None:
    """The update reopens the older widget; its position does not change."""
    actions = Actions()

    @actions.on("both")
    async def both(sender: WidgetItem) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemUpdatedEvent(item_id=sender.id, update=WidgetRootUpdated(widget=card(label("first"))))
        second = sender.model_copy(update={"id": new_id("msg"), "widget": card(label("second"))})
        yield ThreadItemDoneEvent(item=second)

    chat = await start(showing(card(label("old"), button("both"))), actions=actions)
    async with await chat.visitor() as tab:
        thread_id, widget = await show_card(chat, tab)
        await tab.action(thread_id, "both", item_id=widget["id"])
        reloaded = (await tab.reload(thread_id)).items
        assert reloaded == tab.pictures[thread_id].items
        assert [words_of(item) for item in reloaded if item["type"] == "widget"] == [["first"], ["second"]]
