"""What the API sends of an item can be saved and read again, however odd it is."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from chatkit.types import AssistantMessageItem, ClientToolCallItem, ThreadItem, WidgetItem, WorkflowItem

from chatkit_server.importing.imported_items import convert_item, is_waiting
from chatkit_server.importing.source import read_time
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
        assert item.created_at == (NOON if "created_at" in raw else datetime.fromtimestamp(1_767_268_800, UTC))


def test_tasks_without_any_text_are_kept() -> None:
    for tasks in ([], [{"type": "thought"}], [{"type": "custom"}]):
        item = converted(type="chatkit.task_group", tasks=tasks)
        assert isinstance(item, WorkflowItem)
        assert len(item.workflow.tasks) == len(tasks)
    answer = {"type": "output_text", "text": "So", "annotations": []}
    for url in ("http://[", "", "tea"):
        cited = answer | {"annotations": [{"type": "url", "source": {"type": "url", "url": url}}]}
        assert isinstance(converted(type="chatkit.assistant_message", content=[cited]), AssistantMessageItem)


def test_what_people_leave_out_or_write_plainly_is_as_if_it_was_there() -> None:
    url = {"type": "url", "source": {"type": "url", "url": "https://tea.example"}}
    file = {"type": "file", "source": {"type": "file", "filename": "a.pdf"}}
    said = {"type": "output_text", "text": "So", "annotations": []}
    asked = {"type": "input_text", "text": "Why?"}
    card = {"type": "Card", "children": [{"type": "Text", "value": "Tea"}]}
    call: dict[str, Any] = {"name": "n", "call_id": "cthi_1", "arguments": "{}", "status": "completed", "output": None}
    task = {"type": "custom", "heading": "Boil", "summary": None}
    pdf = {"id": "cthi_1 0", "type": "file", "name": "a.pdf", "mime_type": "application/pdf", "preview_url": None}
    cases: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
        (
            "user_message",
            {"content": [asked], "attachments": [], "inference_options": None},
            [{"content": [asked]}, {"content": "Why?"}, {"content": ["Why?"]}, {"content": [{"text": "Why?"}]}],
        ),
        (
            "user_message",
            {"content": [], "attachments": [pdf], "inference_options": {"model": None, "tool_choice": None}},
            [{"attachments": [{"name": "a.pdf"}], "inference_options": {}}, {"attachments": ["a.pdf"]}],
        ),
        (
            "assistant_message",
            {"content": [said]},
            [{"content": "So"}, {"content": [said | {"annotations": None}]}, {"content": [{"text": "So"}]}],
        ),
        (
            "assistant_message",
            {"content": [said | {"annotations": [url, file]}]},
            [
                {"content": [{"text": "So", "annotations": [{"source": entry["source"]} for entry in (url, file)]}]},
                {"content": [{"text": "So", "annotations": [{"source": {"url": "https://tea.example"}}, file]}]},
                {"content": [{"text": "So", "annotations": [url, {"source": {"filename": "a.pdf"}}]}]},
            ],
        ),
        ("widget", {"widget": json.dumps(card)}, [{"widget": card}]),
        ("client_tool_call", call, [{"name": "n"}, {"name": "n", "arguments": {}}]),
        (
            "client_tool_call",
            call | {"arguments": '{"a": [1]}', "output": "true"},
            [{"name": "n", "arguments": {"a": [1]}, "output": True}],
        ),
        ("task", {"task_type": "custom", "heading": "Boil", "summary": None}, [{"heading": "Boil"}]),
        ("task_group", {"tasks": [task]}, [{"tasks": [{"heading": "Boil"}]}]),
    ]
    for kind, full, short_forms in cases:
        expected = converted(type=f"chatkit.{kind}", object="chatkit.thread_item", **full)
        assert "cannot be imported" not in expected.model_dump_json()
        for short in short_forms:
            assert converted(type=f"chatkit.{kind}", **short) == expected, short
    assert not is_waiting({"type": "chatkit.client_tool_call", "name": "n"}), "nobody answers a call of the past"


def test_times_may_be_written_in_many_ways() -> None:
    seconds = int(NOON.timestamp())
    readable: list[Any] = [seconds, seconds + 0.0, str(seconds), seconds * 1000, f"{seconds}000", NOON.isoformat()]
    for value in [*readable, f"{NOON:%Y-%m-%dT%H:%M:%SZ}", f"{NOON:%Y-%m-%d %H:%M}"]:
        assert read_time(value) == NOON, value
    assert read_time("2026-01-01") == datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    edges = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"
    for value in (*edges, None, True, "", "now", -1, 10**30, 10**400, "1e400", float("inf"), float("nan"), [1], {}):
        assert read_time(value) is None, value
