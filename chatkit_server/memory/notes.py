"""Place the notes to the model, such as a widget that was shown, so that roles alternate.

chatkit converts hidden context, widgets, tasks and images to messages with the role `user`. Strict templates refuse a
message of the user after a tool's output, and two in a row. So a note is added to the output or to the message beside
it, and an exchange that ended without an answer gets a short one.
"""

from collections.abc import Sequence
from typing import Any

from openai.types.responses import EasyInputMessageParam

from ..models.fit_messages import NO_ANSWER
from .transcript import CALLS, OUTPUTS

InputItem = Any


def with_answer(exchange: list[InputItem]) -> list[InputItem]:
    """Return an earlier exchange; if it ends with a tool's work or has only the user's message, add an answer."""
    answer = EasyInputMessageParam(type="message", role="assistant", content=NO_ANSWER)
    last = _last_act(exchange)
    if last is None:
        return [*exchange, answer] if exchange else exchange
    if exchange[last].get("type") not in CALLS | OUTPUTS:
        return exchange
    return [*exchange[: last + 1], answer, *exchange[last + 1 :]]


def notes_of(exchange: Sequence[InputItem]) -> list[InputItem]:
    """Return the notes between what the agent did; later ones stay messages of their own, such as that of a stop."""
    if len(exchange) < 3:
        return []
    return [item for item in exchange[1 : _last_act(exchange)] if item.get("role") == "user"]


def _last_act(exchange: Sequence[InputItem]) -> int | None:
    """Return the index of the last item that is not a message with the user's role."""
    return next((index for index in range(len(exchange) - 1, -1, -1) if exchange[index].get("role") != "user"), None)


def join_notes(items: Sequence[InputItem], notes: Sequence[InputItem]) -> list[InputItem]:
    """Return the history with each of the `notes` in the output before it, and never two user messages in a row."""
    note_ids = {id(note) for note in notes}
    joined: list[InputItem] = []
    for item in items:
        previous = joined[-1] if joined else {}
        if item.get("role") != "user":
            joined.append(item)
            continue
        text = _text(item) if id(item) in note_ids else None
        if text is not None and previous.get("type") in OUTPUTS and isinstance(previous["output"], str):
            joined[-1] = {**previous, "output": f"{previous['output']}\n\n{text}"}
        elif _is_plain_user(previous) and _is_plain_user(item):
            joined[-1] = {**previous, "content": [*_parts(previous), *_parts(item)]}
        else:
            joined.append(item)
    return joined


def _is_plain_user(item: InputItem) -> bool:
    return bool(item.get("role") == "user") and item.keys() <= {"type", "role", "content"}


def _parts(item: InputItem) -> list[Any]:
    content = item["content"]
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else list(content)


def _text(item: InputItem) -> str | None:
    """Return the text of a message, or None if it has other parts."""
    parts = _parts(item)
    return "\n".join(part["text"] for part in parts) if all(part["type"] == "input_text" for part in parts) else None
