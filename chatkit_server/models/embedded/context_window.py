"""The history as a small chat model can take it: plain messages, and no more of them than its context holds."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from agents.items import TResponseInputItem

MESSAGE_TOKENS = 8
"""What a chat template adds to a message, and a little more."""

CountTokens = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class PlainMessage:
    """A message as text."""

    role: Literal["user", "assistant", "system"]
    text: str

    def to_item(self) -> TResponseInputItem:
        """In the form of the Agents SDK; its content is a plain string, which every chat template can render."""
        return {"role": self.role, "content": self.text}


def read_messages(input: str | Iterable[TResponseInputItem]) -> list[PlainMessage]:
    """The messages in `input`; tool calls, their outputs, reasoning and images are left out."""
    if isinstance(input, str):
        return [PlainMessage("user", input)]
    return [message for item in input if (message := _message(dict(item))) and message.text]


async def trim_messages(messages: Sequence[PlainMessage], *, budget: int, count: CountTokens) -> list[PlainMessage]:
    """The newest of `messages` that fit into `budget` tokens; of the last one its head and tail where it is too long.

    Drops down to half the budget at once: the engine keeps what it has read of a prompt, and a window that moved
    with every message would make it read everything anew each time, at 200 tokens a second.
    """
    if sum(_most_tokens(message) for message in messages) <= budget:
        return list(messages)
    counts = [MESSAGE_TOKENS + await count(message.text) for message in messages]
    kept = list(messages[_start(counts, budget) :])
    while len(kept) > 1 and kept[0].role == "assistant":
        kept.pop(0)
    if len(kept) == 1:
        kept = [replace(kept[0], text=await cut_text(kept[0].text, budget=budget - MESSAGE_TOKENS, count=count))]
    return kept


async def cut_text(text: str, *, budget: int, count: CountTokens) -> str:
    """`text`, or its head and tail, within `budget` tokens."""
    # A token is at most some 20 characters: of a megabyte, the middle need not even be counted.
    whole, text = text, _middle_out(text, 20 * budget)
    while (tokens := await count(text)) > budget and text:
        text = _middle_out(whole, int(len(text) * budget / tokens * 0.9))
    return text


def _middle_out(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    half = max(0, length // 2 - 2)
    return f"{text[:half]}\n…\n{text[-half:]}" if half else ""


def _start(counts: Sequence[int], budget: int) -> int:
    start = total = 0
    for index, tokens in enumerate(counts):
        total += tokens
        if total > budget:
            while start < index and total > budget // 2:
                total -= counts[start]
                start += 1
    return start


def _most_tokens(message: PlainMessage) -> int:
    """No tokenizer makes more tokens of a text than it has bytes."""
    return MESSAGE_TOKENS + len(message.text.encode())


def _message(item: dict[str, Any]) -> PlainMessage | None:
    match item.get("role"):
        case "user":
            return PlainMessage("user", _text(item.get("content")))
        case "assistant":
            return PlainMessage("assistant", _text(item.get("content")))
        case "system" | "developer":
            return PlainMessage("system", _text(item.get("content")))
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content or []).strip()
