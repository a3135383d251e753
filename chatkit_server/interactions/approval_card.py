"""The card that asks whether a tool may run, and what it says afterwards."""

import json
from typing import Any, Literal

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot

from store import Decision, NewApproval

ACTION = "chatkit.approval"
"""The action of its buttons; its payload is `{"approval_id": ..., "decision": "approved" | "rejected"}`."""
State = Decision | Literal["waiting", "expired", "changed"]
MAX_ARGUMENTS = 20
MAX_LENGTH = 500
"""Characters of one argument that are shown."""

STATES: dict[State, tuple[str, str]] = {
    "waiting": ("Waits for your decision", "warning"),
    "approved": ("Approved", "success"),
    "rejected": ("Rejected", "danger"),
    "expired": ("Not run: the conversation went on without it", "secondary"),
    "changed": ("Not run: the assistant has changed since it asked", "secondary"),
}


def approval_card(item: WidgetItem, approval: NewApproval, state: State) -> WidgetItem:
    """A copy of the card's item that shows this state."""
    words, _ = STATES[state]
    text = f"{approval.tool}({approval.arguments}): {words}"
    return item.model_copy(update={"widget": approval_widget(approval, state), "copy_text": text})


def approval_widget(approval: NewApproval, state: State) -> DynamicWidgetRoot:
    """The name of the tool, what it would be called with, and two buttons for as long as it waits."""
    words, color = STATES[state]
    children: list[Any] = [
        {"type": "Title", "value": f"Run {approval.tool}?", "size": "sm"},
        *_arguments(approval.arguments),
    ]
    if state == "waiting":
        buttons = [_button(approval, "approved", "Approve"), _button(approval, "rejected", "Reject")]
        children.append({"type": "Row", "gap": 2, "children": buttons})
    else:
        children.append({"type": "Badge", "label": words, "color": color})
    return DynamicWidgetRoot.model_validate({"type": "Card", "size": "md", "children": children})


def _button(approval: NewApproval, decision: Decision, label: str) -> Any:
    payload = {"approval_id": approval.id, "decision": decision}
    look = {"style": "primary"} if decision == "approved" else {"variant": "outline"}
    return {"type": "Button", "label": label, "onClickAction": {"type": ACTION, "payload": payload}, **look}


def _arguments(text: str) -> list[Any]:
    """One line each, as plain text: the model wrote them, so they must not be read as Markdown."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        values = text
    if not isinstance(values, dict):
        return [_line(str(values))]
    lines = [_line(f"{name}: {_value(value)}") for name, value in list(values.items())[:MAX_ARGUMENTS]]
    more = len(values) - MAX_ARGUMENTS
    return [*lines, _line(f"… and {more} more")] if more > 0 else lines


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(text: str) -> Any:
    return {"type": "Text", "value": text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…", "size": "sm"}
