"""What a user submitted in a widget stays in it: the values become the defaults of its components.

The widget merges the inputs of a form into the payload of the form's action, under their names, and the value of a
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
    """A copy of the widget with the submitted values in it; the widget itself where the action brought none."""
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


def with_values_since(answer: WidgetItem, seen: WidgetItem, now: WidgetItem) -> WidgetItem:
    """The widget that a handler made of what it had `seen`, with the values that others submitted while it ran, which
    the widget has `now`. A value that the handler changed itself stays as the handler made it."""
    before, after, made = (item.widget.model_dump(mode="json", exclude_none=True) for item in (seen, now, answer))
    if before == after:
        return answer
    old, new, mine = _by_name(before), _by_name(after), _by_name(made)
    for name, components in mine.items():
        of_before, of_now = old.get(name, []), new.get(name, [])
        if len(components) == len(of_before) == len(of_now):
            for component, was, became in zip(components, of_before, of_now, strict=True):
                key = _value_key(component)
                if was.get(key) != became.get(key) and component.get(key) == was.get(key):
                    component[key] = became.get(key)
    return answer.model_copy(update={"widget": DynamicWidgetRoot.model_validate(made)})


def _by_name(widget: Json) -> dict[str, list[Json]]:
    """The named components, in their order; radio buttons of two forms may share a name."""
    found: dict[str, list[Json]] = {}
    for component in _components(widget):
        if name := _name(component):
            found.setdefault(name, []).append(component)
    return found


def _components(widget: Any) -> Iterator[Json]:
    children = widget if isinstance(widget, list) else [widget]
    for component in children:
        if isinstance(component, dict):
            yield component
            yield from _components(component.get("children"))


def _submitted(component: Any, type: str, *, is_in_form: bool) -> Iterator[Json]:
    """The named components whose values an action of this type brings."""
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
    """The name of an input; an editable Text carries it inside."""
    editable = component.get("editable")
    name = editable.get("name") if isinstance(editable, dict) else component.get("name")
    return name if isinstance(name, str) and component.get("type") != "Icon" else ""


def _lookup(payload: Json, name: str) -> Any:
    """By the name itself, or by its parts between the dots."""
    if name in payload:
        return payload[name]
    value: Any = payload
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _value_key(component: Json) -> str:
    """The property that holds what the component shows at first."""
    if component.get("type") == "Checkbox":
        return "defaultChecked"
    return "value" if "editable" in component else "defaultValue"


def _fill(component: Json, value: Any) -> bool:
    """Puts the value where the component shows it at first; returns whether that changed anything."""
    key = _value_key(component)
    if key == "defaultChecked":
        value = bool(value)
    else:
        value = value if isinstance(value, str) or value is None else str(value)
    if component.get(key) == value:
        return False
    component[key] = value
    return True
