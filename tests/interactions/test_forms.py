"""What a user submitted in a form is in the stored widget, so that a reload shows it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.actions import Action
from chatkit.types import WidgetItem

from chatkit_server import Actions
from chatkit_server.interactions.forms import with_submitted
from tests.interactions.cards import card, showing, the_widget
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.chat import model_input
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
    """All kinds of inputs in a form."""
    return {"type": "Form", "onSubmitAction": {"type": type, "payload": {"id": 7}}, "children": FIELDS}


@pytest.mark.parametrize("streaming", [True, False])
async def test_submitted_values_are_in_the_widget_after_a_reload(start: Start, streaming: bool) -> None:
    actions, seen = Actions(), list[Any]()

    @actions.on("send")
    async def send(payload: dict[str, Any], sender: WidgetItem) -> None:
        seen.append(sender.widget.model_dump(exclude_none=True))

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
        assert seen == [stored["widget"]]
        restarted = await start(showing(card()), actions=Actions())
        async with restarted.tab(cookies=tab.cookies) as again:
            assert (await again.reload(thread_id)).of_type("widget") == [stored]
        await tab.send(thread_id, "What did I say?")
        assert "Main St" in str(model_input(chat.upstream.requests[-1]))


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


def test_an_action_that_is_not_the_forms_fills_nothing() -> None:
    """A button may send a `name` of its own."""
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
