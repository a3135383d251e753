"""Submitted values are kept in the stored widget, so that a reload shows them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from agents import Agent, function_tool
from chatkit.actions import Action
from chatkit.types import ThreadItemUpdatedEvent, WidgetComponentUpdated, WidgetItem
from chatkit.widgets import DynamicWidgetComponent, WidgetRoot

from chatkit_server import Actions
from chatkit_server.interactions.forms import with_submitted, with_values_since
from tests.interactions.cards import Context, both_databases, card, label, showing, the_widget, words_of
from tests.serving import Tab
from tests.stage import stream_item
from tests.support.chatkit import Reply
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.coming_back import asking
from tests.turns.conftest import Start

FIELDS: list[Json] = [
    {"type": "Input", "name": "name"},
    {"type": "Textarea", "name": "address.street", "defaultValue": "before"},
    {"type": "Row", "children": [{"type": "Select", "name": "size", "options": [{"value": "s", "label": "S"}]}]},
    {"type": "Checkbox", "name": "gift"},
    {"type": "Text", "value": "Title", "editable": {"name": "title"}},
    {"type": "DatePicker", "name": "day", "defaultValue": "2026-01-01"},
]
PAYLOAD: Json = {
    "id": 7,
    "name": "Ada",
    "address": {"street": "Main St"},
    "size": "s",
    "gift": True,
    "title": "Order",
    "day": "2026-11-25",
}


def form(type: str = "send") -> Json:
    """Return a form with all kinds of inputs."""
    return {"type": "Form", "onSubmitAction": {"type": type, "payload": {"id": 7}}, "children": FIELDS}


@pytest.mark.parametrize("streaming", [True, False])
async def test_submitted_values_are_in_the_widget_after_a_reload(start: Start, streaming: bool) -> None:
    actions, widgets = Actions(), list[Any]()

    @actions.on("send")
    async def send(payload: dict[str, Any], sender: WidgetItem) -> None:
        widgets.append(sender.widget.model_dump(exclude_none=True))

    chat = await start(showing(card(form())), actions=actions)
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("Fill it in."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("A form")).thread_id
        item = the_widget(tab, thread_id)
        params: Json = {"thread_id": thread_id, "item_id": item["id"], "action": {"type": "send", "payload": PAYLOAD}}
        operation = "threads.custom_action" if streaming else "threads.sync_custom_action"
        assert (await tab.post(operation, params)).error is None
        (stored,) = (await tab.reload(thread_id)).of_type("widget")
        assert stored["widget"]["children"] == [form() | {"children": FILLED}]
        assert widgets == [stored["widget"]]
        restarted = await start(showing(card()), actions=Actions())
        async with restarted.tab(cookies=tab.cookies) as again:
            assert (await again.reload(thread_id)).of_type("widget") == [stored]
        await tab.send(thread_id, "What did I say?")
        assert "Main St" in str(chat.upstream.requests[-1].body["input"])


def select(name: str) -> Json:
    """Return a component that submits itself."""
    options = [{"value": value, "label": value} for value in ("1", "2")]
    return {"type": "Select", "name": name, "options": options, "onChangeAction": {"type": f"{name}.changed"}}


async def change(tab: Tab, thread_id: str, item_id: str, name: str, *, streaming: bool = False) -> Reply:
    """Select the second option."""
    action = {"type": f"{name}.changed", "payload": {name: "2"}}
    operation = "threads.custom_action" if streaming else "threads.sync_custom_action"
    return await tab.post(operation, {"thread_id": thread_id, "item_id": item_id, "action": action})


def values(item: Json) -> list[tuple[str, str | None]]:
    """Return the names and values of a card's selects."""
    children = item["widget"]["children"]
    return [(child["name"], child.get("defaultValue")) for child in children if child["type"] == "Select"]


@both_databases
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "sync"])
@pytest.mark.parametrize("answers", [True, False], ids=["with a new widget", "with nothing"])
async def test_values_submitted_at_another_worker_while_a_handler_runs_are_kept(
    start: Start, answers: bool, streaming: bool
) -> None:
    actions, running, go = Actions(), asyncio.Event(), asyncio.Event()

    @actions.on("a.changed")
    async def a_changed(sender: WidgetItem) -> WidgetRoot | None:
        running.set()
        await go.wait()
        fields = sender.widget.model_dump(exclude_none=True)["children"][:2]
        return card(*fields, label("a is changed")) if answers else None

    @actions.on("b.changed")
    async def b_changed(sender: WidgetItem) -> WidgetRoot | None:
        return sender.widget if answers else None

    agent = showing(card(select("a"), select("b")))
    chat, other_worker = await start(agent, actions=actions), await start(agent, actions=actions)
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("Choose."))
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id = (await tab.create("Selects")).thread_id
        item_id = the_widget(tab, thread_id)["id"]
        slow = asyncio.create_task(change(tab, thread_id, item_id, "a", streaming=streaming))
        async with asyncio.timeout(30):
            await running.wait()
        quick = await change(other, thread_id, item_id, "b")
        assert quick.error is None
        go.set()
        reply = await slow
        (stored,) = (await tab.reload(thread_id)).of_type("widget")
        assert values(stored) == [("a", "2"), ("b", "2")]
        if answers:
            assert words_of(stored) == ["a is changed"]
            assert values(quick.body["updated_item"]) == values(stored)
            item = reply.of_type("thread.item.replaced")[-1]["item"] if streaming else reply.body["updated_item"]
            assert item == stored


async def test_submitted_values_are_kept_when_the_handler_fails(start: Start) -> None:
    actions = Actions()

    @actions.on("send")
    async def send() -> None:
        raise RuntimeError("the post office is shut")

    chat = await start(showing(card(form())), actions=actions)
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("Fill it in."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("A form")).thread_id
        item = the_widget(tab, thread_id)
        params: Json = {"thread_id": thread_id, "item_id": item["id"], "action": {"type": "send", "payload": PAYLOAD}}
        assert (await tab.post("threads.sync_custom_action", params)).status == 500
        (stored,) = (await tab.reload(thread_id)).of_type("widget")
        assert stored["widget"]["children"] == [form() | {"children": FILLED}]


FILLED: list[Json] = [
    {"type": "Input", "name": "name", "defaultValue": "Ada"},
    {"type": "Textarea", "name": "address.street", "defaultValue": "Main St"},
    {
        "type": "Row",
        "children": [
            {"type": "Select", "name": "size", "options": [{"value": "s", "label": "S"}], "defaultValue": "s"}
        ],
    },
    {"type": "Checkbox", "name": "gift", "defaultChecked": True},
    {"type": "Text", "value": "Order", "editable": {"name": "title"}},
    {"type": "DatePicker", "name": "day", "defaultValue": "2026-11-25"},
]


def widget(*children: Json, **fields: Any) -> WidgetItem:
    return WidgetItem(id="w", thread_id="t", created_at=datetime.now(UTC), widget=card(*children, **fields))


def submit(item: WidgetItem, type: str, payload: Any) -> Json:
    action: Action[str, Any] = Action(type=type, payload=payload)
    dumped: Json = with_submitted(item, action).widget.model_dump(exclude_none=True)
    return dumped


@pytest.mark.parametrize("payload", [None, "words", {}, {"other": 1}])
def test_an_action_without_values_leaves_the_widget_alone(payload: Any) -> None:
    item = widget(form())
    action: Action[str, Any] = Action(type="send", payload=payload)
    assert with_submitted(item, action) is item


def test_an_action_of_something_else_than_the_form_fills_nothing() -> None:
    """A button's payload may contain a `name` that is not a component's."""
    item = widget(form(), {"type": "Button", "label": "x", "onClickAction": {"type": "other"}})
    assert submit(item, "other", PAYLOAD) == item.widget.model_dump(exclude_none=True)


def test_a_card_can_be_the_form_and_one_component_can_submit_itself() -> None:
    confirm = {"label": "Go", "action": {"type": "go"}}
    field = {"type": "Input", "name": "name"}
    as_form = submit(widget(field, asForm=True, confirm=confirm), "go", {"name": 5})
    assert as_form["children"] == [field | {"defaultValue": "5"}]
    no_form = submit(widget(field, confirm=confirm), "go", {"name": 5})
    assert no_form["children"] == [field]
    select = {"type": "Select", "name": "size", "options": [], "onChangeAction": {"type": "resize"}}
    alone = submit(widget(select, field), "resize", {"size": "l", "name": "x"})
    assert alone["children"] == [select | {"defaultValue": "l"}, field]


def field(name: str, value: str | None = None, **fields: Any) -> Json:
    return {"type": "Input", "name": name} | ({} if value is None else {"defaultValue": value}) | fields


@pytest.mark.parametrize(
    ("before", "current", "answer", "expected"),
    [
        ([field("x")], [field("x", "new")], [label("done"), field("x")], [label("done"), field("x", "new")]),
        ([field("x", "old")], [field("x")], [field("x", "old")], [field("x")]),
        ([field("x")], [field("x", "new")], [field("x", "the handler's")], [field("x", "the handler's")]),
        ([field("x")], [field("x", "new")], [label("done")], [label("done")]),
        ([field("x")], [label("done")], [field("x")], [field("x")]),
        ([field("x"), field("x")], [field("x"), field("x", "new")], [field("x")], [field("x")]),
        (
            [field("x"), field("x")],
            [field("x"), field("x", "new")],
            [field("x"), field("x")],
            [field("x"), field("x", "new")],
        ),
        ([field("x")], [field("x"), label("more")], [field("x")], [field("x")]),
    ],
    ids=["filled", "emptied", "both", "removed by the answer", "removed since", "other count", "same name", "unnamed"],
)
def test_values_submitted_since_are_merged_into_the_answer(
    before: list[Json], current: list[Json], answer: list[Json], expected: list[Json]
) -> None:
    merged = with_values_since(widget(*answer), widget(*before), widget(*current))
    assert merged.widget.model_dump(exclude_none=True)["children"] == expected


def test_values_in_rows_and_editable_texts_are_merged() -> None:
    def nested(title: str, *, gift: bool) -> WidgetItem:
        text = {"type": "Text", "value": title, "editable": {"name": "title"}}
        return widget({"type": "Row", "children": [text, {"type": "Checkbox", "name": "gift", "defaultChecked": gift}]})

    before, after = nested("Order", gift=False), nested("My order", gift=True)
    assert with_values_since(before, before, after).widget == after.widget
    assert with_values_since(before, before, before) is before


async def test_values_submitted_while_the_widgets_turn_runs_are_kept(start: Start) -> None:
    """The turn's update of the widget must start from the stored row."""
    actions = Actions()

    @actions.on("a.changed")
    async def keep() -> None:
        pass

    finish = asyncio.Event()

    @function_tool
    async def show(context: Context) -> str:
        """Shows a form, and later that it is ready."""
        item = await stream_item(context.context, "widget", widget=card(select("a"), label("busy")))
        await finish.wait()
        ready = DynamicWidgetComponent.model_validate(label("ready"))
        update = WidgetComponentUpdated(component_id="label", component=ready)
        await context.context.stream(ThreadItemUpdatedEvent(item_id=item.id, update=update))
        return "shown"

    chat = await start(Agent(name="test", tools=[show]), actions=actions)
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("Choose."))
    async with await chat.visitor() as tab, asking(tab, "Show it") as reply:
        while (await reply.wait_for("thread.item.done"))["item"]["type"] != "widget":
            pass
        (item,) = reply.picture.of_type("widget")
        assert (await change(tab, reply.thread_id, item["id"], "a")).status == 200
        finish.set()
        await reply.read()
        (stored,) = (await tab.reload(reply.thread_id)).of_type("widget")
        assert values(stored) == [("a", "2")]
