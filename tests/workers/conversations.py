"""A model of what a conversation may look like, which the random tests compare with."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations

from tests.support.openai_answers import Answer
from tests.support.openai_server import ModelRequest
from tests.turns.chat import model_input

Words = tuple[str, ...]
Effect = Callable[[Words], set[Words]]
"""Map the messages that a reload shows to all possible ones after a request."""

TOKENS = 6


def message(number: int, hang_after: int | None) -> str:
    """A user's message, which determines how far its answer streams before it hangs."""
    return f"Message {number}" + ("" if hang_after is None else f", wait at {hang_after}")


def answer_to(words: str) -> str:
    """Return its complete answer."""
    (number,) = re.findall(r"Message (\d+)", words)
    return " ".join(f"{number}.{n}" for n in range(TOKENS))


def answer(request: ModelRequest) -> Answer:
    """Return the answer that the endpoint plays."""
    words = next(words for role, words in reversed(model_input(request)) if role == "user")
    numbers = re.findall(r"wait at (\d+)", words)
    return Answer(answer_to(words), hang_after=int(numbers[0]) if numbers else None)


def sent(words: str) -> Effect:
    """Accept a message."""
    return lambda texts: {(*texts, words)}


def retried(words: str) -> Effect:
    """Remove what follows the message; it comes back if the retry is stopped before any output."""
    return lambda texts: {texts, texts[: texts.index(words) + 1]} if words in texts else {texts}


@dataclass
class Conversation:
    """The expected state of a thread: all lists of messages that a reload may show."""

    id: str
    user: int
    titles: set[str]
    accepted: list[str] = field(default_factory=list)
    possible: set[Words] = field(default_factory=lambda: {()})
    is_deleted: bool = False

    def happened(self, *effects: Effect) -> None:
        """Apply requests; several concurrent ones in any order."""
        before, self.possible = self.possible, set()
        for order in permutations(effects):
            results = before
            for effect in order:
                results = {after for words in results for after in effect(words)}
            self.possible |= results
