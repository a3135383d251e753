"""What the API sends of an item can be saved and read again, however odd it is."""

import json
from types import SimpleNamespace
from typing import Any

from chatkit.types import AssistantMessageItem, ClientToolCallItem, ThreadItem, WidgetItem, WorkflowItem

from chatkit_server.importing.imported_items import convert_item
from chatkit_store.items import from_row, to_row
from tests.store.factories import NOON, text_of


def converted(**raw: Any) -> ThreadItem:
    """Return an item, after it was saved and read."""
    raw = {"id": "cthi_1", "thread_id": "cthr_1", "created_at": 1_767_268_800, **raw}
    item = convert_item(raw, "cthi_1", "thr_1", NOON, {}).item
    row: Any = SimpleNamespace(**to_row("thr_1", item, None))
    assert from_row(row) == item
    return item


def nested(depth: int) -> str:
    return '{"a":[' * depth + "1" + "]}" * depth


def test_json_that_is_nested_too_deeply_stays_a_text() -> None:
    call = {"type": "chatkit.client_tool_call", "name": "n", "call_id": "c", "status": "completed"}
    for depth in (10, 40, 60, 95, 120, 2_000):
        text = nested(depth)
        item = converted(**call, arguments=text, output=text)
        assert isinstance(item, ClientToolCallItem)
        assert item.output in (text, json.loads(text) if depth < 100 else text)
        assert (item.output == text) is (depth > 50)
    item = converted(**call, arguments="[1]", output="not JSON")
    assert isinstance(item, ClientToolCallItem)
    assert (item.arguments, item.output) == ({"arguments": [1]}, "not JSON")


def test_a_widget_that_is_nested_too_deeply_becomes_a_note() -> None:
    for depth, kind in ((40, WidgetItem), (98, WidgetItem), (150, AssistantMessageItem), (900, AssistantMessageItem)):
        children = '{"type":"Col","children":[' * depth + '{"type":"Text","value":"x"}' + "]}" * depth
        widget = f'{{"type":"Card","children":[{children}]}}'
        assert type(converted(type="chatkit.widget", widget=widget)) is kind


def test_an_item_without_any_shape_becomes_a_note() -> None:
    for raw in ({}, {"type": 7}, {"type": None, "content": "text"}, {"created_at": [], "content": [{"text": 1}, 2]}):
        item = converted(**raw)
        assert isinstance(item, AssistantMessageItem)
        assert text_of(item) == "[Something was shown here that cannot be imported (of an unknown kind).]"
        assert item.created_at == NOON or "created_at" not in raw


def test_tasks_without_any_text_are_kept() -> None:
    for tasks in ([], [{"type": "thought"}], [{"type": "custom"}]):
        item = converted(type="chatkit.task_group", tasks=tasks)
        assert isinstance(item, WorkflowItem)
        assert len(item.workflow.tasks) == len(tasks)
    answer = {"type": "output_text", "text": "So", "annotations": []}
    for url in ("http://[", "", "tea"):
        cited = answer | {"annotations": [{"type": "url", "source": {"type": "url", "url": url}}]}
        assert isinstance(converted(type="chatkit.assistant_message", content=[cited]), AssistantMessageItem)
