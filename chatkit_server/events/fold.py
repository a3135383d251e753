"""Fold the events of a turn into the items that they describe.

`TurnItems` holds what a turn's client sees, and is the one place that knows what an event does to an item. A stopped
turn and recovery after a crash save its items; readers that join later start from them.
"""

from collections.abc import Iterator
from io import StringIO

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from chatkit.widgets import WidgetComponentBase

from .copies import deep_copy


class TurnItems:
    """The items of a turn: the finished ones and the open ones."""

    def __init__(self) -> None:
        self.finished: dict[str, ThreadItem] = {}
        self.open = OpenItems()
        self.removed_ids: list[str] = []
        """The ids of items of earlier turns that this one has removed."""

    def open_ids(self) -> set[str]:
        """Return the ids of the open items."""
        return {item.id for item in self.open}

    def apply(self, event: ThreadStreamEvent) -> None:
        """Apply one event; events that are not about an item change nothing."""
        match event:
            case ThreadItemAddedEvent():
                self.finished.pop(event.item.id, None)
                self.open.add(event.item)
            case ThreadItemUpdatedEvent():
                self.open.update(event.item_id, event.update)
            case ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                self.open.close(event.item.id)
                self.finished[event.item.id] = event.item
            case ThreadItemRemovedEvent():
                if event.item_id not in self.finished and event.item_id not in self.open:
                    self.removed_ids.append(event.item_id)
                self.open.close(event.item_id)
                self.finished.pop(event.item_id, None)
            case _:
                pass


class OpenItems:
    """Items between `thread.item.added` and `thread.item.done`."""

    __slots__ = ("_items", "_texts")

    def __init__(self) -> None:
        self._items: dict[str, ThreadItem] = {}
        # Text deltas are collected beside the item: appending each to it is quadratic in the length of the answer.
        self._texts: dict[tuple[str, int], StringIO] = {}

    def __iter__(self) -> Iterator[ThreadItem]:
        """Yield the items as they are now, oldest first."""
        for item_id in self._items:
            yield self[item_id]

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def __getitem__(self, item_id: str) -> ThreadItem:
        item = self._items[item_id]
        if isinstance(item, AssistantMessageItem):
            self._join_texts(item)
        return item

    def add(self, item: ThreadItem) -> None:
        """Add a copy of the item: the agent keeps changing its own."""
        self._drop_texts(item.id)
        self._items[item.id] = deep_copy(item)

    def add_text(self, item_id: str, content_index: int, delta: str) -> None:
        """Append text to an assistant message; ignored if it is not open. This is the hot path."""
        text = self._texts.get((item_id, content_index))
        if text is None:
            if item_id not in self._items:
                return
            text = self._texts[item_id, content_index] = StringIO()
        text.write(delta)

    def update(self, item_id: str, update: ThreadItemUpdate) -> None:
        """Apply one update; ignored if the item is not open, as in the widget."""
        if type(update) is AssistantMessageContentPartTextDelta:
            self.add_text(item_id, update.content_index, update.delta)
        elif item_id in self._items:
            apply_update(self[item_id], update)

    def close(self, item_id: str) -> None:
        """Forget an item that is done or removed."""
        self._items.pop(item_id, None)
        self._drop_texts(item_id)

    def before(self, item_id: str) -> list[ThreadItem]:
        """Return the open items that appeared before this one; all of them if this one never appeared."""
        earlier: list[ThreadItem] = []
        for item in self:
            if item.id == item_id:
                break
            earlier.append(item)
        return earlier

    def _join_texts(self, item: AssistantMessageItem) -> None:
        for key in [key for key in self._texts if key[0] == item.id]:
            _part(item, key[1]).text += self._texts.pop(key).getvalue()

    def _drop_texts(self, item_id: str) -> None:
        for key in [key for key in self._texts if key[0] == item_id]:
            del self._texts[key]


def apply_update(item: ThreadItem, update: ThreadItemUpdate) -> None:
    """Apply an update of a `thread.item.updated` event to `item` in place; ignore an update of another item type."""
    match item:
        case AssistantMessageItem():
            _update_message(item, update)
        case WorkflowItem():
            _update_workflow(item, update)
        case WidgetItem():
            _update_widget(item, update)
        case GeneratedImageItem():
            if isinstance(update, GeneratedImageUpdated):
                item.image = update.image
        case _:
            pass


def is_empty(item: ThreadItem) -> bool:
    """Return whether the item has no content yet. Empty items are never saved."""
    match item:
        case AssistantMessageItem():
            return not any(part.text.strip() for part in item.content)
        case WorkflowItem():
            return not item.workflow.tasks
        case GeneratedImageItem():
            return item.image is None
        case _:
            return False


def is_thought(item: ThreadItem) -> bool:
    """Return whether the item is the model's thinking, which alone is not an answer."""
    return isinstance(item, WorkflowItem) and item.workflow.type == "reasoning"


def settle(item: ThreadItem) -> ThreadItem:
    """Return the item as saved when its turn ends before it does: none of its tasks is still loading."""
    if isinstance(item, WorkflowItem):
        for task in item.workflow.tasks:
            if task.status_indicator == "loading":
                task.status_indicator = "none"
    return item


def _part(item: AssistantMessageItem, index: int) -> AssistantMessageContent:
    while len(item.content) <= index:  # a part may get updates without having been added
        item.content.append(AssistantMessageContent(text=""))
    return item.content[index]


def _update_message(item: AssistantMessageItem, update: ThreadItemUpdate) -> None:
    match update:
        case AssistantMessageContentPartAdded() | AssistantMessageContentPartDone():
            _part(item, update.content_index)
            item.content[update.content_index] = deep_copy(update.content)
        case AssistantMessageContentPartTextDelta():
            _part(item, update.content_index).text += update.delta
        case AssistantMessageContentPartAnnotationAdded():
            _part(item, update.content_index).annotations.insert(update.annotation_index, update.annotation)
        case _:
            pass


def _update_workflow(item: WorkflowItem, update: ThreadItemUpdate) -> None:
    tasks = item.workflow.tasks
    match update:
        case WorkflowTaskAdded():
            tasks.insert(update.task_index, deep_copy(update.task))
        case WorkflowTaskUpdated() if update.task_index < len(tasks):
            tasks[update.task_index] = deep_copy(update.task)
        case _:
            pass


def _update_widget(item: WidgetItem, update: ThreadItemUpdate) -> None:
    match update:
        case WidgetRootUpdated():
            item.widget = deep_copy(update.widget)  # text is appended to it; the original is the agent's
        case WidgetComponentUpdated():
            _replace_component(item.widget, update.component_id, deep_copy(update.component))
        case WidgetStreamingTextValueDelta():
            for component in _components(item.widget):
                if component.id == update.component_id:
                    # setattr: in a dynamic widget `value` and `streaming` are extra fields, not declared by any type
                    setattr(component, "value", (getattr(component, "value", None) or "") + update.delta)  # noqa: B010
                    if update.done and getattr(component, "streaming", None):
                        setattr(component, "streaming", False)  # noqa: B010
        case _:
            pass


def _components(root: WidgetComponentBase) -> Iterator[WidgetComponentBase]:
    yield root
    for child in _children(root):
        yield from _components(child)


def _children(component: WidgetComponentBase) -> list[WidgetComponentBase]:
    """Return the children; a dynamic component may hold a single child without a list."""
    children = getattr(component, "children", None)
    children = children if isinstance(children, list) else [children]
    return [child for child in children if isinstance(child, WidgetComponentBase)]


def _replace_component(root: WidgetComponentBase, component_id: str, new: WidgetComponentBase) -> None:
    for parent in list(_components(root)):  # a list first: the new component is not searched again
        children = getattr(parent, "children", None)
        if isinstance(children, list):
            children[:] = [new if getattr(child, "id", None) == component_id else child for child in children]
        elif getattr(children, "id", None) == component_id:
            setattr(parent, "children", new)  # noqa: B010  (declared by the subclasses only)
