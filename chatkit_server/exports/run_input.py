"""Put the conversation so far before the input that a workflow gives to its agents.

An exported workflow begins each turn with nothing but the user's text: the hosted backend added what was said before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agents import Agent, RunState

from ..agents.turn_runner import RunInput
from .run_host import RunHost


class Conversation:
    """The thread of one turn, and what its first run began with."""

    def __init__(self, host: RunHost, text: str, *, has_history: bool) -> None:
        """`text` is the user's message. Without `has_history` only its files are added."""
        self._host = host
        self._text = text
        self._has_history = has_history
        self._opening: str | None = None

    async def complete(self, agent: Agent[Any], input: RunInput) -> RunInput:
        """Return the input of a run with what belongs before it.

        That is for the first run, and for later ones that begin with the same message: an export repeats it for each
        agent. Any other input is all that its author wants the agent to know.
        """
        if isinstance(input, RunState):
            return input
        items = _items_of(input)
        opening = _text_of(items[0]) if items else None
        if not self.note(input) and (opening is None or opening != self._opening):
            return input
        earlier, newest = await self._host.load_thread(agent)
        history = list(earlier) if self._has_history else []
        if not newest or opening is None:
            return [*history, *items]
        message, *since = newest
        return [*history, self._with_files(items[0], message), *(since if self._has_history else []), *items[1:]]

    def note(self, input: RunInput) -> bool:
        """Note what the first run begins with. Return whether this is the first."""
        if self._opening is not None:
            return False
        items = [] if isinstance(input, RunState) else _items_of(input)
        self._opening = (_text_of(items[0]) if items else None) or ""
        return True

    def _with_files(self, own: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the user's message as the thread has it, with its files and quotes; if the workflow has changed the
        text, such as to mask names in it, that text with the files."""
        if _text_of(own) == self._text.strip():
            return message
        files = [part for part in _parts(message) if part.get("type") not in ("input_text", "text")]
        return {**own, "content": [*_parts(own), *files]} if files else own


def _items_of(input: str | Sequence[Any]) -> list[Any]:
    return [{"role": "user", "content": input}] if isinstance(input, str) else list(input)


def _text_of(item: Mapping[str, Any]) -> str | None:
    """Return the text of a user's message, or None for any other item."""
    if item.get("role") != "user":
        return None
    return "".join(part["text"] for part in _parts(item) if part.get("type") in ("input_text", "text")).strip()


def _parts(item: Mapping[str, Any]) -> Sequence[Any]:
    content = item.get("content") or []
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else list(content)
