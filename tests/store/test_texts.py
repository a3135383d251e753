"""Texts that break databases, and the plain text beside each payload."""

from typing import Any

import pytest
from chatkit.types import (
    CustomSummary,
    CustomTask,
    FileTask,
    ImageTask,
    LockedStatus,
    SDKHiddenContextItem,
    SearchTask,
    StructuredInputAnswer,
    StructuredInputFreeform,
    StructuredInputItem,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ThreadMetadata,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import DynamicWidgetRoot

from chatkit_store import NotFound, SqlStore
from chatkit_store.text import plain_text
from tests.store.conftest import Query
from tests.store.factories import (
    ALICE,
    NOON,
    User,
    assistant_message,
    hidden_item,
    make_thread,
    text_of,
    tool_call,
    user_message,
)

Store = SqlStore[User]

COMMON: dict[str, Any] = {"id": "x_1", "thread_id": "thr_1", "created_at": NOON}
EMOJI = "👩‍👩‍👧 مرحبا بالعالم שלום 漢字 e\u0301 \U0001f600"


async def load_all(store: Store, thread_id: str) -> list[ThreadItem]:
    """Return the items of all pages: one has at most 1 MiB."""
    page = await store.load_thread_items(thread_id, None, 10, "asc", ALICE)
    items = page.data
    while page.has_more:
        page = await store.load_thread_items(thread_id, page.after, 10, "asc", ALICE)
        items = [*items, *page.data]
    return items


@pytest.mark.parametrize(
    ("value", "column", "payload"),
    [
        (EMOJI, EMOJI, EMOJI),
        ("a\0b", "a\ufffdb", "a\0b"),
        ("a\ud800b", "a\ufffdb", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd", "\ufffd\ufffd"),
        ("'; DROP TABLE threads; -- %s :x {} \\u0000", "'; DROP TABLE threads; -- %s :x {} \\u0000", None),
        ("x" * 1_000_000, "x" * 1_000_000, None),
        ("", "", ""),
    ],
    ids=["emoji", "nul", "surrogate", "reversed pair", "code", "long", "empty"],
)
async def test_any_text_is_stored_and_read(
    store: Store, thread: ThreadMetadata, sql: Query, value: str, column: str, payload: str | None
) -> None:
    items: list[ThreadItem] = [
        user_message(value),
        assistant_message(value),
        hidden_item({"deep": [value, {value: value}]}),
    ]
    await store.add_thread_items(thread.id, items, ALICE)
    loaded = await load_all(store, thread.id)
    expected = value if payload is None else payload
    assert [text_of(item) for item in loaded[:2]] == [expected, expected]
    assert loaded[2] == items[2].model_copy(
        update={"thread_id": thread.id, "content": {"deep": [expected, {expected: expected}]}}
    )
    assert [row.text for row in await sql("SELECT text FROM messages ORDER BY position")] == [column, column]


@pytest.mark.parametrize("bad", ["\0", "\ud800", EMOJI])
async def test_any_title_metadata_and_reason_are_stored(store: Store, bad: str) -> None:
    thread = make_thread(title=f"a{bad}", metadata={bad: bad}, allowed_image_domains=[bad])
    thread.status = LockedStatus(reason=bad)
    await store.save_thread(thread, ALICE)
    loaded = await store.load_thread(thread.id, ALICE)
    assert loaded.title == "a" + (EMOJI if bad == EMOJI else "\ufffd")
    assert loaded.metadata == ({"\ufffd": "\ufffd"} if bad == "\ud800" else {bad: bad})
    loaded.metadata["more"] = 1
    await store.save_thread(loaded, ALICE)


@pytest.mark.parametrize("bad", ["thr_\0", "thr_\ud800", "", "'", "x" * 100_000])
async def test_any_made_up_id_is_not_found(store: Store, thread: ThreadMetadata, bad: str) -> None:
    calls = [
        store.load_thread(bad, ALICE),
        store.load_thread_items(thread.id, bad, 5, "asc", ALICE),
        store.load_item(thread.id, bad, ALICE),
        store.load_threads(5, bad, "asc", ALICE),
        store.load_attachment(bad, ALICE),
        store.add_feedback(thread.id, [bad], "positive", ALICE),
        store.delete_thread(bad, ALICE),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            await call


async def test_values_that_json_lacks_are_approximated(store: Store, thread: ThreadMetadata) -> None:
    item = hidden_item({"nan": float("nan"), "bytes": b"\xff", "set": {1}, "object": object, "big": 2**80})
    await store.add_thread_item(thread.id, item, ALICE)
    content = (await store.load_item(thread.id, item.id, ALICE)).content  # type: ignore[union-attr]
    assert content == {"nan": None, "bytes": "\ufffd", "set": [1], "object": str(object), "big": 2**80}


def widget(copy_text: str | None) -> WidgetItem:
    card = DynamicWidgetRoot.model_validate({"type": "Card", "children": []})
    return WidgetItem(**COMMON, widget=card, copy_text=copy_text)


def tagged() -> ThreadItem:
    tag = UserMessageTagContent(id="u1", text="Ann", data={})
    return user_message(content=[UserMessageTextContent(text="Ask "), tag, UserMessageTextContent(text=" please")])


def workflow() -> ThreadItem:
    tasks = [
        CustomTask(title="Load", content="the data"),
        SearchTask(title="Search", queries=["tea", "cups"]),
        ThoughtTask(title="Think", content="hard"),
        FileTask(title="Read"),
        ImageTask(),
    ]
    return WorkflowItem(**COMMON, workflow=Workflow(type="custom", tasks=tasks, summary=CustomSummary(title="Sum")))


def questions() -> ThreadItem:
    inputs = [
        StructuredInputFreeform(id="a", question="Where?", answer=StructuredInputAnswer(values=["here", "there"])),
        StructuredInputFreeform(id="b", question="When?"),
    ]
    return StructuredInputItem(**COMMON, inputs=inputs)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (tagged(), "Ask @Ann please"),
        (assistant_message("Hello"), "Hello"),
        (widget("Copy me"), "Copy me"),
        (widget(None), ""),
        (tool_call(), 'find(what="tea", limit=2)'),
        (workflow(), "Sum\nLoad\nthe data\nSearch\ntea\ncups\nThink\nhard\nRead"),
        (TaskItem(**COMMON, task=ThoughtTask(content="only this")), "only this"),
        (questions(), "Where? here, there\nWhen?"),
        (hidden_item("a note"), "a note"),
        (hidden_item({"a": 1}), '{"a":1}'),
        (SDKHiddenContextItem(**COMMON, content="stopped"), "stopped"),
    ],
)
def test_plain_text_of_an_item(item: ThreadItem, expected: str) -> None:
    assert plain_text(item) == expected
