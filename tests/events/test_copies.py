"""Copies of chatkit's models."""

from datetime import UTC, datetime

import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    CustomTask,
    LockedStatus,
    ThreadMetadata,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_server.events.copies import deep_copy

NOW = datetime(2026, 11, 29, tzinfo=UTC)
OF_ITEM = {"id": "item", "thread_id": "thread", "created_at": NOW}
WIDGET = {"type": "Card", "children": [{"type": "Text", "id": "text", "value": "Hello", "streaming": True}]}

MODELS: list[BaseModel] = [
    AssistantMessageItem(**OF_ITEM, content=[AssistantMessageContent(text="Hello")]),
    WidgetItem(**OF_ITEM, widget=DynamicWidgetRoot.model_validate(WIDGET)),
    WorkflowItem(**OF_ITEM, workflow=Workflow(type="custom", tasks=[CustomTask(title="Search")])),
    ThreadMetadata(id="thread", created_at=NOW, status=LockedStatus(reason="late"), metadata={"a": [{"b": {1, 2}}]}),
]


def parts_of(value: object) -> dict[int, object]:
    """Return everything that can be changed within a value, by identity."""
    if isinstance(value, BaseModel):
        inner = [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]
    elif isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = list(value)
    else:
        return {id(value): value} if isinstance(value, set) else {}
    return {id(value): value} | {key: part for entry in inner for key, part in parts_of(entry).items()}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_copy_is_equal_and_shares_nothing_that_can_be_changed(model: BaseModel) -> None:
    copied = deep_copy(model)
    assert copied == model
    assert copied.model_dump() == model.model_copy(deep=True).model_dump()
    assert copied.model_fields_set == model.model_fields_set
    assert not parts_of(model).keys() & parts_of(copied).keys()
