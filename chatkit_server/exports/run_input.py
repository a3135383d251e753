"""Put the conversation so far before the input that a workflow gives to its agents.

An exported workflow begins each turn with nothing but the user's text: the hosted backend added what was said before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agents import Agent, RunState

from ..agents.turn_runner import RunInput, RunOptions
from ..memory import turn_transcript
from .run_host import Completion, RunHost

OWN_HISTORY = ("session", "conversation_id", "previous_response_id", "auto_previous_response_id")
INSTRUCTIONS = ("system", "developer")
STOPPED_MESSAGE = "[A check stopped this message: the assistant did not get it.]"
"""What agents read in later turns of a message that no agent has got."""


class Conversation:
    """The thread of one turn, and what its first run began with."""

    def __init__(self, host: RunHost, text: str, *, has_history: bool) -> None:
        """`text` is the user's message. Without `has_history` only its files are added."""
        self._host = host
        self._text = text.strip()
        self._has_history = has_history
        self._opening: Any = None
        """The first item of the first run's input; an export passes the same one to each agent."""
        self._has_run = False
        self._was_read = False
        """Whether a run has begun with the message as the user wrote it."""

    async def complete(self, agent: Agent[Any], input: RunInput, options: RunOptions) -> RunInput:
        """Return the input of a run with what belongs before it.

        That is for the first run, and for later ones that begin with the same message or the user's: an export repeats
        it for each agent. Any other input is all that its author wants the agent to know, as is that of a run with a
        session or a conversation at the provider.
        """
        if isinstance(input, RunState) or any(options.get(name) for name in OWN_HISTORY):
            self.note(input)
            return input
        instructions, items = _split(_items_of(input))
        is_first = self.note(input)
        first = items[0] if items else {}
        opening = _text_of(first)
        if not is_first and not self._is_opening(first, opening):
            return input
        earlier, newest = await self._host.load_thread(agent)
        history = list(earlier) if self._has_history else []
        if not newest or opening is None:
            return [*instructions, *history, *items]
        self._note_text(opening)
        message, *since = newest
        completed = [self._with_files(first, message), *(since if self._has_history else []), *items[1:]]
        return [*instructions, *history, *completed]

    def completion(self, options: RunOptions) -> Completion:
        """Return a function that completes the input of each model call of a run that has started already."""

        async def complete(agent: Agent[Any], items: list[Any]) -> list[Any]:
            completed = await self.complete(agent, items, options)
            return completed if isinstance(completed, list) else items

        return complete

    def note(self, input: RunInput) -> bool:
        """Note what the first run begins with. Return whether this is the first."""
        if self._has_run:
            return False
        self._has_run = True
        _, items = _split([] if isinstance(input, RunState) else _items_of(input))
        self._opening = items[0] if items else None
        return True

    def leave_out_message(self) -> None:
        """Keep the message from later turns, if no agent has got it: a check has stopped it."""
        if not self._has_run and (transcript := turn_transcript.get()) is not None:
            transcript.set_message_text(STOPPED_MESSAGE)

    def _is_opening(self, item: Mapping[str, Any], text: str | None) -> bool:
        # By identity, too: a guardrail that masks personal data changes the item in place.
        return item is self._opening or (
            text is not None and text in (self._text, _text_of(self._opening) if self._opening else None)
        )

    def _note_text(self, text: str) -> None:
        """Let later turns read the message as the agents did, unless one of them got what the user wrote: the author
        may have masked personal data."""
        self._was_read |= text == self._text
        if (transcript := turn_transcript.get()) is not None:
            transcript.set_message_text(None if self._was_read else text)

    def _with_files(self, own: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the user's message as the thread has it, with its files and quotes; if the workflow has changed the
        text, such as to mask names in it, that text with the files."""
        if _text_of(own) == self._text:
            return message
        files = [part for part in _parts(message) if part.get("type") not in ("input_text", "text")]
        return {**own, "content": [*_parts(own), *files]} if files else own


def _items_of(input: str | Sequence[Any]) -> list[Any]:
    return [{"role": "user", "content": input}] if isinstance(input, str) else list(input)


def _split(items: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the instructions that the input begins with, and the conversation."""
    count = next((n for n, item in enumerate(items) if item.get("role") not in INSTRUCTIONS), len(items))
    return items[:count], items[count:]


def _text_of(item: Mapping[str, Any]) -> str | None:
    """Return the text of a user's message, or None for any other item."""
    if item.get("role") != "user":
        return None
    return "".join(part["text"] for part in _parts(item) if part.get("type") in ("input_text", "text")).strip()


def _parts(item: Mapping[str, Any]) -> Sequence[Any]:
    content = item.get("content") or []
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else list(content)
