"""Decode ChatKit events from the JSON in the journal.

Widgets are decoded as dynamic components: the named classes of chatkit 1.6 drop every property that they do not know.
"""

from functools import cache
from typing import Any

from chatkit.types import ThreadStreamEvent, WidgetItem
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot
from pydantic import TypeAdapter
from pydantic_core import from_json


@cache
def _event() -> TypeAdapter[ThreadStreamEvent]:
    return TypeAdapter(ThreadStreamEvent)  # built for the first turn of another worker


def decode_event(data: str | bytes) -> ThreadStreamEvent:
    """Decode what `frames.encode_event` wrote. Raises `ValueError` for an event that this version does not know."""
    fields = from_json(data, cache_strings="keys")
    if isinstance(item := fields.get("item"), dict) and item.get("type") == "widget":
        fields["item"] = WidgetItem.model_validate(item | {"widget": _root(item["widget"])})
    if isinstance(update := fields.get("update"), dict):
        _decode_widget_of(update)
    return _event().validate_python(fields)


def _decode_widget_of(update: dict[str, Any]) -> None:
    match update.get("type"):
        case "widget.root.updated":
            update["widget"] = _root(update["widget"])
        case "widget.component.updated":
            update["component"] = DynamicWidgetComponent.model_validate(update["component"])


def _root(fields: Any) -> DynamicWidgetRoot:
    return DynamicWidgetRoot.model_validate(fields)
