"""Convert ChatKit events to plain tokens, for clients that only want the text of an answer.

The text of a turn is its assistant messages in order, with an empty line between them; blank messages do not count, and
are never saved. Tokens are the difference to the text sent so far, so an item that is sent again, by a snapshot or when
it is done, only adds what is new. If text must be taken back, a `RESET` comes first.
"""

from collections.abc import Iterable
from typing import Any

from chatkit.types import AssistantMessageItem, ThreadItem

from chatkit_store.text import plain_text

Json = dict[str, Any]

RESET: Json = {"reset": True}
"""The client discards all text of this answer; the remaining text follows as a token."""
BETWEEN_MESSAGES = "\n\n"


class Tokens:
    """Folds events (as JSON) into the text of an answer, and returns what each adds to it."""

    def __init__(self) -> None:
        self._messages: dict[str, list[list[str]]] = {}
        """By message id: the pieces of each of its parts."""
        self._end: tuple[str, int] | None = None
        """Message id and part index at the end of the text."""

    @property
    def text(self) -> str:
        """The text so far."""
        return join_messages("\n".join("".join(part) for part in parts) for parts in self._messages.values())

    def take(self, event: Json) -> list[Json]:
        """Return what to send for the event: `{"token": text}`, after a `RESET` if needed; often nothing."""
        if event["type"] == "thread.item.updated":
            update = event["update"]
            if update["type"] == "assistant_message.content_part.text_delta":
                return self._take_delta(event["item_id"], update["content_index"], update["delta"])
            if not update["type"].startswith("assistant_message.content_part."):
                return []
        before = self.text
        self._apply(event)
        return self._changes_since(before)

    def _take_delta(self, item_id: str, index: int, delta: str) -> list[Json]:
        if (item_id, index) == self._end:  # fast path; all other branches compare the whole text
            self._messages[item_id][index].append(delta)
            return [{"token": delta}] if delta else []
        before = self.text
        self._part(item_id, index).append(delta)
        return self._changes_since(before)

    def _changes_since(self, before: str) -> list[Json]:
        after = self.text
        visible = [item_id for item_id, parts in self._messages.items() if _is_visible(parts)]
        self._end = (visible[-1], len(self._messages[visible[-1]]) - 1) if visible else None
        if after == before:
            return []
        if after.startswith(before):
            return [{"token": after[len(before) :]}]
        return [RESET, {"token": after}] if after else [RESET]

    def _apply(self, event: Json) -> None:
        match event:
            case {"type": "thread.item.added" | "thread.item.done", "item": {"type": "assistant_message"} as item}:
                self._messages[item["id"]] = _parts(item)
            case {"type": "thread.item.replaced", "item": item} if item["id"] in self._messages:
                self._messages[item["id"]] = _parts(item)
            case {"type": "thread.item.removed", "item_id": item_id}:
                self._messages.pop(item_id, None)
            case {"type": "thread.item.updated", "update": {"content": {"text": text}} as update}:
                self._part(event["item_id"], update["content_index"])[:] = [text]
            case _:
                pass

    def _part(self, item_id: str, index: int) -> list[str]:
        parts = self._messages.setdefault(item_id, [])
        while len(parts) <= index:
            parts.append([])
        return parts[index]


def text_of(items: Iterable[ThreadItem]) -> str:
    """Return the text of saved items; a lone surrogate, invalid in JSON, becomes U+FFFD as in the stream."""
    text = join_messages(plain_text(item) for item in items if isinstance(item, AssistantMessageItem))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def join_messages(texts: Iterable[str]) -> str:
    """Join the texts of messages to the text of an answer."""
    return BETWEEN_MESSAGES.join(text for text in texts if text.strip())


def _parts(item: Json) -> list[list[str]]:
    return [[part["text"]] for part in item.get("content", [])]


def _is_visible(parts: list[list[str]]) -> bool:
    return any(piece.strip() for part in parts for piece in part)
