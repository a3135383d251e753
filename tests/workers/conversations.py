"""What must be true of a conversation, whatever is done to it: the model that the random tests compare with."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations

from tests.support.openai_answers import Answer
from tests.support.openai_server import ModelRequest
from tests.turns.chat import model_input

Words = tuple[str, ...]
Effect = Callable[[Words], set[Words]]
"""What a request makes of the messages that a reload shows: all that may come of it."""

TOKENS = 6


def message(number: int, hang_after: int | None) -> str:
    """A user's message, which says how far its answer goes by itself."""
    return f"Message {number}" + ("" if hang_after is None else f", wait at {hang_after}")


def answer_to(words: str) -> str:
    """The whole answer to it."""
    (number,) = re.findall(r"Message (\d+)", words)
    return " ".join(f"{number}.{n}" for n in range(TOKENS))


def answer(request: ModelRequest) -> Answer:
    """What the endpoint plays."""
    words = next(words for role, words in reversed(model_input(request)) if role == "user")
    found = re.findall(r"wait at (\d+)", words)
    return Answer(answer_to(words), hang_after=int(found[0]) if found else None)


def said(words: str) -> Effect:
    """A message was accepted."""
    return lambda shown: {(*shown, words)}


def retried(words: str) -> Effect:
    """What follows the message goes; it comes back where the retry was stopped before it said anything."""
    return lambda shown: {shown, shown[: shown.index(words) + 1]} if words in shown else {shown}


@dataclass
class Conversation:
    """A thread as it must be. `shown` are the messages that a reload may show, in one way or another."""

    id: str
    user: int
    titles: set[str]
    accepted: list[str] = field(default_factory=list)
    shown: set[Words] = field(default_factory=lambda: {()})
    is_deleted: bool = False

    def happened(self, *effects: Effect) -> None:
        """Requests were carried out, at about the same time where they are several: in any order."""
        before, self.shown = self.shown, set()
        for order in permutations(effects):
            possible = before
            for effect in order:
                possible = {after for words in possible for after in effect(words)}
            self.shown |= possible
