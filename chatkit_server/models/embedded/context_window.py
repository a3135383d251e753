"""Reduce a history to plain messages that fit into a small model's context window."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from agents.items import TResponseInputItem

MESSAGE_TOKENS = 8
"""Tokens that a chat template adds to a message, rounded up."""

CountTokens = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class PlainMessage:
    """A text-only message."""

    role: Literal["user", "assistant", "system"]
    text: str

    def to_item(self) -> TResponseInputItem:
        """Return it as an input item; the content is a plain string, which every chat template can render."""
        return {"role": self.role, "content": self.text}


def read_messages(input: str | Iterable[TResponseInputItem]) -> list[PlainMessage]:
    """Return the messages in `input`, without tool calls, their outputs, reasoning and images."""
    if isinstance(input, str):
        return [PlainMessage("user", input)]
    return [message for item in input if (message := _message(dict(item))) and message.text]


async def trim_messages(messages: Sequence[PlainMessage], *, budget: int, count: CountTokens) -> list[PlainMessage]:
    """Return the newest messages that fit into `budget` tokens; cut the middle out of the last one if it is too long.

    If the history is too long, keep only half the budget. The engine caches the prompt prefix, so a window that moved
    with every message would make it process the whole prompt again each time, at 200 tokens per second.
    """
    if sum(_max_tokens(message) for message in messages) <= budget:
        return list(messages)
    counts = [MESSAGE_TOKENS + await count(message.text) for message in messages]
    window = list(messages[_start(counts, budget) :])
    while len(window) > 1 and window[0].role == "assistant":
        window.pop(0)
    if len(window) == 1:
        window = [replace(window[0], text=await cut_text(window[0].text, budget=budget - MESSAGE_TOKENS, count=count))]
    return window


async def cut_text(text: str, *, budget: int, count: CountTokens) -> str:
    """Return `text`, with its middle cut out if it has more than `budget` tokens."""
    # A token has at most about 20 characters, so a very long text need not be counted in full.
    shortened = _cut_middle(text, 20 * budget)
    while (tokens := await count(shortened)) > budget and shortened:
        shortened = _cut_middle(text, int(len(shortened) * budget / tokens * 0.9))
    return shortened


def _cut_middle(text: str, length: int) -> str:
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


def _max_tokens(message: PlainMessage) -> int:
    """Return an upper bound: a text never has more tokens than bytes."""
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
