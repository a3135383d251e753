"""The card that asks whether a tool may run, and what it says afterwards.

Who approves a call has to see all of it: nothing is cut, and what would hide a part of it is named in ⟨brackets⟩.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot

from chatkit_store import Decision, NewApproval

ACTION = "chatkit.approval"
"""The action of its buttons; its payload is `{"approval_id": ..., "decision": "approved" | "rejected"}`."""
State = Decision | Literal["waiting", "expired", "changed"]
MAX_LENGTH = 10_000
"""Characters of all arguments together; a longer call is not shown, and cannot be approved."""
MAX_ARGUMENTS = 100
BLANKS = re.compile(r"[\s\u115f\u1160\u2800\u3164\uffa0]{17,}")
"""Runs that push what follows out of sight; the letters among them look like blanks."""
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that show nothing, or turn the order of the others around."""

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
    lines = _arguments(approval.arguments)
    can_be_approved = _is_bearable(lines)
    if not can_be_approved:
        length = sum(map(len, lines))
        lines = [f"This call is too long to be shown ({length} characters), so it can only be rejected."]
    children: list[Any] = [
        {"type": "Title", "value": f"Run {approval.tool}?", "size": "sm"},
        *({"type": "Text", "value": line, "size": "sm"} for line in lines),
    ]
    if state == "waiting":
        approve = [_button(approval, "approved", "Approve")] if can_be_approved else []
        buttons = [*approve, _button(approval, "rejected", "Reject")]
        children.append({"type": "Row", "gap": 2, "children": buttons})
    else:
        children.append({"type": "Badge", "label": words, "color": color})
    return DynamicWidgetRoot.model_validate({"type": "Card", "size": "md", "children": children})


def can_be_shown(approval: NewApproval) -> bool:
    """Whether the card shows all of the call; who cannot see it cannot approve it."""
    return _is_bearable(_arguments(approval.arguments))


def _is_bearable(lines: Sequence[str]) -> bool:
    return sum(map(len, lines)) <= MAX_LENGTH and len(lines) <= MAX_ARGUMENTS


def _button(approval: NewApproval, decision: Decision, label: str) -> Any:
    payload = {"approval_id": approval.id, "decision": decision}
    look = {"style": "primary"} if decision == "approved" else {"variant": "outline"}
    return {"type": "Button", "label": label, "onClickAction": {"type": ACTION, "payload": payload}, **look}


def _arguments(text: str) -> list[str]:
    """One line each, as plain text: the model wrote them, so they must not be read as Markdown."""
    try:
        values = json.loads(text or "{}", object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        values = text
    if not isinstance(values, dict):
        return [_visible(_value(values))]
    return [_visible(f"{name}: {_value(value)}") for name, value in values.items()]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises `ValueError` where a name comes twice: which of the two counts, the tool decides."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name comes twice")
    return values


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _visible(text: str) -> str:
    """The text, with what nobody would see named."""
    short = BLANKS.sub(lambda found: f" ⟨{len(found[0])} blanks⟩ ", text)
    return "".join(f"⟨U+{ord(char):04X}⟩" if _is_unseen(char) else char for char in short)


def _is_unseen(char: str) -> bool:
    return char not in "\n\t\r" and unicodedata.category(char) in UNSEEN
