"""The card that asks whether a tool may run, and later shows the decision.

A user who approves a call must see all of it: nothing is cut, and characters that would hide a part of it are spelled
out in ⟨brackets⟩.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot

from chatkit_store import Decision, NewApproval

from ..files.file_names import INVISIBLE_CATEGORIES

ACTION = "chatkit.approval"
"""The action of the buttons; its payload is `{"approval_id": ..., "decision": "approved" | "rejected"}`."""
State = Decision | Literal["waiting", "expired", "changed"]
MAX_LENGTH = 10_000
"""Most characters of all arguments together. A longer call is not shown and cannot be approved."""
MAX_ARGUMENTS = 100
"""Most arguments of a call, one line each. A call with more is not shown and cannot be approved."""
BLANKS = re.compile(r"[\s\u115f\u1160\u2800\u3164\uffa0]{17,}")
"""Runs of blanks that push what follows out of sight; up to 16 pass, enough for ordinary indentation. The letters in
this set look like blanks."""

QUESTION = "question"
"""The call id of a question that a function of the author's asks between two runs: there is no tool, and `arguments` is
the question as plain text."""

STATES: dict[State, tuple[str, str]] = {
    "waiting": ("Waiting for your decision", "warning"),
    "approved": ("Approved", "success"),
    "rejected": ("Rejected", "danger"),
    "expired": ("Not run: the conversation continued without it", "secondary"),
    "changed": ("Not run: the assistant has changed since it asked", "secondary"),
}


def approval_card(item: WidgetItem, approval: NewApproval, state: State) -> WidgetItem:
    """Return a copy of the card's item that shows this state."""
    label, _ = STATES[state]
    text = f"{approval.tool}({approval.arguments}): {label}" if approval.tool else f"{approval.arguments}: {label}"
    return item.model_copy(update={"widget": approval_widget(approval, state), "copy_text": text})


def approval_widget(approval: NewApproval, state: State) -> DynamicWidgetRoot:
    """Return the card: the tool, its arguments, and two buttons while it waits."""
    label, color = STATES[state]
    lines = _lines(approval)
    fits = _fits(lines)
    if not fits:
        length = sum(map(len, lines))
        what = "call" if approval.tool else "question"
        lines = [f"This {what} is too long to show ({length} characters), so it can only be rejected."]
    children: list[Any] = [
        {"type": "Title", "value": f"Run {approval.tool}?" if approval.tool else "Do you approve?", "size": "sm"},
        *({"type": "Text", "value": line, "size": "sm"} for line in lines),
    ]
    if state == "waiting":
        approve = [_button(approval, "approved", "Approve")] if fits else []
        buttons = [*approve, _button(approval, "rejected", "Reject")]
        children.append({"type": "Row", "gap": 2, "children": buttons})
    else:
        children.append({"type": "Badge", "label": label, "color": color})
    return DynamicWidgetRoot.model_validate({"type": "Card", "size": "md", "children": children})


def can_be_shown(approval: NewApproval) -> bool:
    """Return whether the card can show the whole call; otherwise the call cannot be approved."""
    return _fits(_lines(approval))


def _lines(approval: NewApproval) -> list[str]:
    return _argument_lines(approval.arguments) if approval.tool else [_visible(approval.arguments)]


def _fits(lines: Sequence[str]) -> bool:
    return sum(map(len, lines)) <= MAX_LENGTH and len(lines) <= MAX_ARGUMENTS


def _button(approval: NewApproval, decision: Decision, label: str) -> Any:
    payload = {"approval_id": approval.id, "decision": decision}
    style = {"style": "primary"} if decision == "approved" else {"variant": "outline"}
    return {"type": "Button", "label": label, "onClickAction": {"type": ACTION, "payload": payload}, **style}


def _argument_lines(text: str) -> list[str]:
    """Return one line per argument. They are shown as plain text: the model wrote them, so Markdown is not safe."""
    try:
        values = json.loads(text or "{}", object_pairs_hook=_unique_names)
    except (ValueError, RecursionError):
        values = text
    if not isinstance(values, dict):
        return [_visible(_value(values))]
    return [_visible(f"{name}: {_value(value)}") for name, value in values.items()]


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises `ValueError` for a duplicate name: which value counts depends on the tool's parser, so show the text."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("duplicate name")
    return values


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _visible(text: str) -> str:
    """Spell out long runs of blanks and invisible characters."""
    collapsed = BLANKS.sub(lambda match: f" ⟨{len(match[0])} blanks⟩ ", text)
    return "".join(f"⟨U+{ord(char):04X}⟩" if _is_invisible(char) else char for char in collapsed)


def _is_invisible(char: str) -> bool:
    return char not in "\n\t\r" and unicodedata.category(char) in INVISIBLE_CATEGORIES
