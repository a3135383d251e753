"""Folding events gives the item that they describe, however its text was split."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.server import diff_widget
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    CustomTask,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItem,
    ThreadItemUpdate,
    ThreadMetadata,
    URLSource,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chatkit_server.events.fold import OpenItems, is_empty, settle
from chatkit_server.events.frames import serialize
from tests.stage import EXAMPLES, make_item
from tests.support.chatkit import Json, Picture

NOW = datetime(2026, 11, 23, tzinfo=UTC)
THREAD = ThreadMetadata(id="thr_1", created_at=NOW)
UPDATE: TypeAdapter[Any] = TypeAdapter(ThreadItemUpdate)


def message(*texts: str) -> AssistantMessageItem:
    """Return an assistant message."""
    content = [AssistantMessageContent(text=text) for text in texts]
    return AssistantMessageItem(id="msg_1", thread_id="thr_1", created_at=NOW, content=content)


def fold(item: ThreadItem, updates: Sequence[ThreadItemUpdate]) -> ThreadItem:
    """Return the item after the updates."""
    items = OpenItems()
    items.add(item)
    for update in updates:
        items.update(item.id, update)
    return items[item.id]


def shown(item: ThreadItem, updates: Sequence[ThreadItemUpdate]) -> Json:
    """Return the item as the widget draws it from the same events."""
    picture = Picture()
    picture.apply({"type": "thread.item.added", "item": json.loads(serialize(item))})
    for update in updates:
        picture.apply({"type": "thread.item.updated", "item_id": item.id, "update": json.loads(serialize(update))})
    return picture.items[0]


def delta(text: str, part: int = 0) -> AssistantMessageContentPartTextDelta:
    return AssistantMessageContentPartTextDelta(content_index=part, delta=text)


@st.composite
def split_texts(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, str]]]:
    """Draw the texts of a message's parts, and their deltas interleaved."""
    texts = draw(st.lists(st.text(), min_size=1, max_size=3))
    pieces: list[list[tuple[int, str]]] = []
    for index, text in enumerate(texts):
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
        bounds = [0, *cuts, len(text)]
        pieces.append([(index, text[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)])
    order = draw(st.permutations([index for index, part in enumerate(pieces) for _ in part]))
    return texts, [pieces[index].pop(0) for index in order]


@given(split_texts())
def test_interleaved_deltas_give_the_text_of_each_part(cut: tuple[list[str], list[tuple[int, str]]]) -> None:
    texts, pieces = cut
    parts = [
        AssistantMessageContentPartAdded(content_index=index, content=AssistantMessageContent(text=""))
        for index in range(len(texts))
    ]
    assert fold(message(), [*parts, *(delta(text, index) for index, text in pieces)]) == message(*texts)


@given(split_texts(), st.integers(0, 20))
def test_reading_an_open_item_does_not_change_it(cut: tuple[list[str], list[tuple[int, str]]], at: int) -> None:
    texts, pieces = cut
    items = OpenItems()
    items.add(message())
    for number, (index, text) in enumerate(pieces):
        if number == at:
            list(items)
        items.add_text("msg_1", index, text)
    folded = items["msg_1"]
    assert isinstance(folded, AssistantMessageItem)
    content = folded.content
    assert [part.text for part in content] == texts[: len(content)]
    assert all(text == "" for text in texts[len(content) :])


def test_parts_citations_and_ends_fold_as_the_widget_draws_them() -> None:
    source = Annotation(source=URLSource(title="A", url="https://a.example"), index=1)
    updates: list[ThreadItemUpdate] = [
        AssistantMessageContentPartAdded(content_index=0, content=AssistantMessageContent(text="")),
        delta("Se"),
        AssistantMessageContentPartAnnotationAdded(content_index=0, annotation_index=0, annotation=source),
        delta("e"),
        AssistantMessageContentPartAdded(content_index=1, content=AssistantMessageContent(text="B")),
        delta("oth", 1),
        AssistantMessageContentPartDone(
            content_index=0, content=AssistantMessageContent(text="See.", annotations=[source])
        ),
    ]
    folded = fold(message(), updates)
    assert json.loads(serialize(folded)) == shown(message(), updates)
    assert [part.text for part in folded.content] == ["See.", "Both"]  # type: ignore[union-attr]  # it is a message


def test_the_end_of_a_part_replaces_the_deltas_before_it_only() -> None:
    end = AssistantMessageContentPartDone(content_index=0, content=AssistantMessageContent(text="Right"))
    assert fold(message(), [delta("Wro"), delta("ng"), end, delta(" on")]) == message("Right on")


def test_workflow_tasks_fold_by_their_index() -> None:
    item = WorkflowItem(id="wf_1", thread_id="thr_1", created_at=NOW, workflow=Workflow(type="custom", tasks=[]))
    updates: list[ThreadItemUpdate] = [
        *(WorkflowTaskAdded(task_index=n, task=CustomTask(title="Same")) for n in range(3)),
        WorkflowTaskUpdated(task_index=1, task=CustomTask(title="Second")),
        WorkflowTaskUpdated(task_index=9, task=CustomTask(title="Nowhere")),
    ]
    folded = fold(item, updates)
    assert isinstance(folded, WorkflowItem)
    assert [task.title for task in folded.workflow.tasks] == ["Same", "Second", "Same"]
    assert json.loads(serialize(folded)) == shown(item, updates[:-1])


def test_an_image_folds() -> None:
    item = GeneratedImageItem(id="img_1", thread_id="thr_1", created_at=NOW)
    image = GeneratedImage(id="ig_1", url="https://a.example/1.png")
    assert fold(item, [GeneratedImageUpdated(image=image, progress=0.5)]) == item.model_copy(update={"image": image})


# Widgets

Texts = list[tuple[str, str]]


def widget(texts: Texts, title: str = "T") -> DynamicWidgetRoot:
    """Return a widget with a text for each (id, value), all but the first nested."""
    children = [{"type": "Markdown", "id": name, "value": value, "streaming": True} for name, value in texts]
    nested: dict[str, Any] = {"type": "Row", "children": [{"type": "Box", "id": "box", "children": children[1:]}]}
    title_child = {"type": "Title", "id": "title", "value": title}
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": [title_child, *children[:1], nested]})


def widget_item(root: Any) -> WidgetItem:
    return WidgetItem(id="w_1", thread_id="thr_1", created_at=NOW, widget=root)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # chatkit deprecates the strict classes that it still reads
@pytest.mark.parametrize("strict", [True, False])
@given(growth=st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_streamed_widget_text_folds_to_its_last_state(strict: bool, growth: list[str]) -> None:
    def state(value: str) -> Any:
        text = {"type": "Text", "id": "t", "value": value, "streaming": True}
        whole = {"type": "Card", "children": [{"type": "Row", "children": [text]}]}
        return TypeAdapter(WidgetItem).validate_python(
            {"id": "w_1", "thread_id": "thr_1", "created_at": NOW, "widget": whole}
        ).widget if strict else DynamicWidgetRoot.model_validate(whole)  # fmt: skip

    states = [state("".join(growth[:n])) for n in range(len(growth) + 1)]
    updates = [
        update
        for before, after in zip(states, states[1:], strict=False)
        for update in diff_widget(before, after)
    ]  # fmt: skip
    item = widget_item(states[0])
    assert len(updates) == len(growth)
    assert json.loads(serialize(fold(item, updates))) == json.loads(serialize(widget_item(states[-1])))


def test_a_delta_finds_its_component_wherever_it_is() -> None:
    item = widget_item(widget([("a", "1"), ("b", "2"), ("c", "3")]))
    updates: list[ThreadItemUpdate] = [
        WidgetStreamingTextValueDelta(component_id="a", delta="x", done=False),
        WidgetStreamingTextValueDelta(component_id="c", delta="y", done=True),
        WidgetStreamingTextValueDelta(component_id="nobody", delta="z", done=True),
    ]
    folded = json.loads(serialize(fold(item, updates)))
    assert folded == shown(item, updates)
    assert "1x" in str(folded)
    assert "3y" in str(folded)


def test_a_component_and_a_root_are_replaced_in_place() -> None:
    item = widget_item(widget([("a", "1"), ("b", "2")]))
    box = DynamicWidgetComponent.model_validate({"type": "Badge", "id": "box", "label": "new"})
    inside = WidgetComponentUpdated(component_id="box", component=box)
    assert json.loads(serialize(fold(item, [inside]))) == shown(item, [inside])
    root = WidgetRootUpdated(widget=widget([("d", "4")]))
    assert json.loads(serialize(fold(item, [inside, root]))) == json.loads(serialize(widget_item(root.widget)))


def test_a_single_child_component_is_found_and_replaced() -> None:
    """A dynamic component may hold a single child without a list."""
    text = {"type": "Text", "id": "t", "value": "a"}
    item = widget_item(
        DynamicWidgetRoot.model_validate({"type": "Basic", "children": {"type": "Box", "children": text}})
    )
    grown = fold(item, [WidgetStreamingTextValueDelta(component_id="t", delta="b", done=True)])
    assert json.loads(serialize(grown))["widget"]["children"]["children"] == text | {"value": "ab"}
    new = DynamicWidgetComponent.model_validate({"type": "Badge", "id": "t", "label": "new"})
    replaced = fold(item, [WidgetComponentUpdated(component_id="t", component=new)])
    assert json.loads(serialize(replaced))["widget"]["children"]["children"] == {
        "type": "Badge",
        "id": "t",
        "label": "new",
    }


def test_a_delta_after_a_new_root_does_not_change_the_event_that_brought_it() -> None:
    """The agent's widget and a frame that is not encoded yet must not change."""
    root = WidgetRootUpdated(widget=widget([("a", "1")]))
    before = serialize(root)
    grow = WidgetStreamingTextValueDelta(component_id="a", delta="x", done=True)
    fold(widget_item(widget([("a", "0")])), [root, grow])
    assert serialize(root) == before


# The collection


def test_an_open_item_is_a_copy_of_the_agents() -> None:
    items, mine = OpenItems(), message("a")
    items.add(mine)
    items.add_text("msg_1", 0, "b")
    assert (items["msg_1"], mine) == (message("ab"), message("a"))


def test_open_items_keep_the_order_in_which_they_appeared() -> None:
    items = OpenItems()
    for name in ("c", "a", "b"):
        items.add(make_item("task", THREAD, name))
    items.add(make_item("task", THREAD, "c", task={"type": "custom", "title": "again"}))
    assert [item.id for item in items] == ["c", "a", "b"]
    assert [item.id for item in items.before("b")] == ["c", "a"]
    assert items["c"].task.title == "again"  # type: ignore[union-attr]  # it is a task
    items.close("a")
    items.close("nobody")
    assert ("a" in items, [item.id for item in items]) == (False, ["c", "b"])


def test_updates_of_items_that_are_not_open_do_nothing() -> None:
    items = OpenItems()
    items.update("msg_1", delta("lost"))
    items.add_text("msg_1", 0, "lost")
    items.add(message())
    assert items["msg_1"] == message()
    items.close("msg_1")
    items.add(message())
    assert items["msg_1"] == message()


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@pytest.mark.parametrize(
    "update",
    [
        {"type": "assistant_message.content_part.added", "content_index": 0, "content": {"text": "x"}},
        {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": "x"},
        {"type": "workflow.task.added", "task_index": 0, "task": {"type": "custom"}},
        {"type": "workflow.task.updated", "task_index": 0, "task": {"type": "custom"}},
        {"type": "generated_image.updated", "image": {"id": "i", "url": "u"}},
        {"type": "widget.streaming_text.value_delta", "component_id": "t", "delta": "x", "done": False},
    ],
    ids=lambda update: update["type"],
)
def test_an_update_for_another_item_type_is_ignored(kind: str, update: Json) -> None:
    item = make_item(kind, THREAD, "x_1")
    fits = {"assistant_message": "assistant_message", "workflow": "workflow", "widget": "widget"}
    fits["generated_image"] = "generated_image"
    folded = fold(item, [UPDATE.validate_python(update)])
    assert (folded == item) is not update["type"].startswith(fits.get(kind, "nothing"))


def test_the_cost_of_a_delta_does_not_grow_with_the_text_before_it() -> None:
    """Deltas are collected in a list and joined on demand: appending each to the text is quadratic."""
    items = OpenItems()
    items.add(message(""))
    for _ in range(50_000):
        items.add_text("msg_1", 0, "word ")
    waiting = items._items["msg_1"]
    assert waiting == message(""), "nothing was joined yet"
    assert items["msg_1"] == message("word " * 50_000)
    assert items["msg_1"] == message("word " * 50_000), "looking twice does not add twice"


def test_items_without_content_are_empty() -> None:
    workflow = WorkflowItem(id="wf", thread_id="t", created_at=NOW, workflow=Workflow(type="reasoning", tasks=[]))
    empty: list[ThreadItem] = [
        message(),
        message(" \n", ""),
        workflow,
        GeneratedImageItem(id="i", thread_id="t", created_at=NOW),
    ]
    assert [is_empty(item) for item in empty] == [True] * 4
    assert [kind for kind in EXAMPLES if is_empty(make_item(kind, THREAD, "x"))] == []


def test_a_settled_workflow_has_no_loading_task() -> None:
    tasks = [CustomTask(title=str(n), status_indicator=kind) for n, kind in enumerate(("loading", "complete", "none"))]
    item = WorkflowItem(id="wf", thread_id="t", created_at=NOW, workflow=Workflow(type="custom", tasks=[*tasks]))
    settled = settle(item)
    assert isinstance(settled, WorkflowItem)
    assert [task.status_indicator for task in settled.workflow.tasks] == ["none", "complete", "none"]
