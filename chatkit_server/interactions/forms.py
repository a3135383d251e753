"""Keep submitted values in a widget, as the defaults of its components.

The widget's client merges a form's inputs into the payload of the form's action, under their names, and the value of a
single component into the payload of its `onChangeAction`.
"""

from collections.abc import Iterator
from typing import Any

from chatkit.actions import Action
from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot

Json = dict[str, Any]
_MISSING = object()


def with_submitted(sender: WidgetItem, action: Action[str, Any]) -> WidgetItem:
    """Return a copy of the widget with the submitted values, or the widget itself if the action brought none."""
    if not isinstance(action.payload, dict):
        return sender
    widget = sender.widget.model_dump(mode="json", exclude_none=True)
    changed = False
    for component in list(_submitted(widget, action.type, is_in_form=False)):
        value = _lookup(action.payload, _name(component))
        changed |= value is not _MISSING and _fill(component, value)
    if not changed:
        return sender
    return sender.model_copy(update={"widget": DynamicWidgetRoot.model_validate(widget)})


def with_values_since(answer: WidgetItem, before: WidgetItem, current: WidgetItem) -> WidgetItem:
    """Return the handler's `answer` with the values that were submitted while the handler ran.

    `before` is the widget as the handler got it, `current` as it is stored now. A value that the handler changed itself
    stays as the handler set it: this is a three-way merge by the names of the components.
    """
    old, new, merged = (item.widget.model_dump(mode="json", exclude_none=True) for item in (before, current, answer))
    if old == new:
        return answer
    old_by_name, new_by_name = _by_name(old), _by_name(new)
    for name, components in _by_name(merged).items():
        old_components, new_components = old_by_name.get(name, []), new_by_name.get(name, [])
        if len(components) == len(old_components) == len(new_components):
            for component, old_component, new_component in zip(components, old_components, new_components, strict=True):
                key = _value_key(component)
                if old_component.get(key) != new_component.get(key) and component.get(key) == old_component.get(key):
                    component[key] = new_component.get(key)
    return answer.model_copy(update={"widget": DynamicWidgetRoot.model_validate(merged)})


def _by_name(widget: Json) -> dict[str, list[Json]]:
    """Return the named components in document order; radio buttons of two forms may share a name."""
    named: dict[str, list[Json]] = {}
    for component in _components(widget):
        if name := _name(component):
            named.setdefault(name, []).append(component)
    return named


def _components(widget: Any) -> Iterator[Json]:
    children = widget if isinstance(widget, list) else [widget]
    for component in children:
        if isinstance(component, dict):
            yield component
            yield from _components(component.get("children"))


def _submitted(component: Any, type: str, *, is_in_form: bool) -> Iterator[Json]:
    """Yield the named components whose values an action of this type submits."""
    if isinstance(component, list):
        for child in component:
            yield from _submitted(child, type, is_in_form=is_in_form)
        return
    if not isinstance(component, dict):
        return
    is_in_form = is_in_form or _submits(component, type)
    if _name(component) and (is_in_form or _type_of(component.get("onChangeAction")) == type):
        yield component
    yield from _submitted(component.get("children"), type, is_in_form=is_in_form)


def _submits(component: Json, type: str) -> bool:
    if component.get("type") == "Form":
        return bool(_type_of(component.get("onSubmitAction")) == type)
    confirm = component.get("confirm")
    return bool(component.get("asForm")) and isinstance(confirm, dict) and _type_of(confirm.get("action")) == type


def _type_of(action: Any) -> Any:
    return action.get("type") if isinstance(action, dict) else None


def _name(component: Json) -> str:
    """Return the name of an input, or "". An editable Text has it inside `editable`."""
    editable = component.get("editable")
    name = editable.get("name") if isinstance(editable, dict) else component.get("name")
    return name if isinstance(name, str) and component.get("type") != "Icon" else ""


def _lookup(payload: Json, name: str) -> Any:
    """Return the value under the name, or under its dot-separated path; `_MISSING` if there is none."""
    if name in payload:
        return payload[name]
    value: Any = payload
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _value_key(component: Json) -> str:
    """Return the property that holds the component's initial value."""
    if component.get("type") == "Checkbox":
        return "defaultChecked"
    return "value" if "editable" in component else "defaultValue"


def _fill(component: Json, value: Any) -> bool:
    """Set the component's initial value; return whether that changed anything."""
    key = _value_key(component)
    if key == "defaultChecked":
        value = bool(value)
    else:
        value = value if isinstance(value, str) or value is None else str(value)
    if component.get(key) == value:
        return False
    component[key] = value
    return True
