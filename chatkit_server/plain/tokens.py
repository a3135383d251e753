"""ChatKit events → plain tokens, for clients that only want the text of an answer.

The text of a turn is that of its assistant's messages in their order, an empty line between two; a message of blanks
alone is none, and is never saved. What was told is always the whole text so far, so an item that comes again, by a
snapshot or because it is done, adds only what is new. Text that has to be taken back is told as `RESET`.
"""

from collections.abc import Iterable
from typing import Any

from chatkit.types import AssistantMessageItem, ThreadItem

from chatkit_store.text import plain_text

Json = dict[str, Any]

RESET: Json = {"reset": True}
"""The client forgets all text of this answer; what still stands follows as a token."""
BETWEEN_MESSAGES = "\n\n"


class Tokens:
    """Folds events, as JSON, into text, and says what each of them adds to it."""

    def __init__(self) -> None:
        self._messages: dict[str, list[list[str]]] = {}
        """Pieces of each part of each message."""
        self._end: tuple[str, int] | None = None
        """Message and part that the text ends with."""

    @property
    def text(self) -> str:
        """All of it, as far as it is known."""
        return join_messages("\n".join("".join(part) for part in parts) for parts in self._messages.values())

    def take(self, event: Json) -> list[Json]:
        """What a client has to be told of the event: `{"token": text}`, after a `RESET` if need be; often nothing."""
        if event["type"] == "thread.item.updated":
            update = event["update"]
            if update["type"] == "assistant_message.content_part.text_delta":
                return self._take_delta(event["item_id"], update["content_index"], update["delta"])
            if not update["type"].startswith("assistant_message.content_part."):
                return []
        before = self.text
        self._apply(event)
        return self._told_since(before)

    def _take_delta(self, item_id: str, index: int, delta: str) -> list[Json]:
        if (item_id, index) == self._end:  # nearly always; all other ways look at the whole text
            self._messages[item_id][index].append(delta)
            return [{"token": delta}] if delta else []
        before = self.text
        self._part(item_id, index).append(delta)
        return self._told_since(before)

    def _told_since(self, before: str) -> list[Json]:
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
    """The same text, of items; half of a surrogate pair, which no JSON can say, becomes U+FFFD as on the wire."""
    text = join_messages(plain_text(item) for item in items if isinstance(item, AssistantMessageItem))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def join_messages(texts: Iterable[str]) -> str:
    """The text of an answer, of its messages' texts."""
    return BETWEEN_MESSAGES.join(text for text in texts if text.strip())


def _parts(item: Json) -> list[list[str]]:
    return [[part["text"]] for part in item.get("content", [])]


def _is_visible(parts: list[list[str]]) -> bool:
    return any(piece.strip() for part in parts for piece in part)
