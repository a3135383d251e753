"""Read the events of an answer of the Responses API that are as plain as nearly all are, in one step.

On the way through the decoders (`sse.py`, `incoming/answer_decoder.py`), which understand every form that endpoints
send, an event passes five generators. Here it passes none: an event of the API is a line with its JSON, perhaps after
one with its name. The first that is anything else, and all bytes after it, are for the decoders.
"""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from ..incoming.answer_state import AnswerState
from ..incoming.responses_events import ResponsesAnswer

END = b"\n\n"
MAX_EVENT = 64 * 1024
"""Bytes of an event that may arrive in parts; the decoders join the parts of longer ones."""


class PlainEvents:
    """Reads one answer up to the first event that is not plain."""

    def __init__(self, state: AnswerState) -> None:
        self._state = state
        self.answer: ResponsesAnswer | None = None
        """What was read of the answer; None before its first event."""
        self.rest = b""
        """The bytes that have arrived after the last event."""
        self.is_odd = False
        """Whether the rest, and all that follows, is for the decoders."""

    @property
    def is_complete(self) -> bool:
        """Whether this was the whole answer, if no more bytes come."""
        return not self.is_odd and not self.rest and self.answer is not None and self.answer.is_complete

    def read(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Yield the data of the events that these bytes complete. Has to be read to its end."""
        data, self.rest = self.rest + chunk, b""
        start = 0
        self.is_odd = b"\r" in chunk
        while not self.is_odd and (end := data.find(END, start)) >= 0:
            value = _value(data[start:end])
            if value is None:
                self.is_odd = True
                break
            start = end + len(END)
            answer = self.answer
            if answer is None:
                answer = self.answer = ResponsesAnswer(self._state)
            if answer.is_plain(value):
                yield value
            else:
                yield from answer.read(value)
        self.rest = data[start:]
        self.is_odd |= len(self.rest) > MAX_EVENT


def _value(event: bytes) -> dict[str, Any] | None:
    """Return the data of an event; None if it is not plain."""
    if event.startswith(b"event: response."):
        event = event[event.find(b"\n") + 1 :]
    if not event.startswith(b"data: {") or b"\n" in event or b"\\u0000" in event:
        return None
    try:
        value: dict[str, Any] = from_json(event[6:])
    except ValueError:  # also bytes that are not UTF-8, and halves of characters
        return None
    kind = value.get("type")
    is_plain = isinstance(kind, str) and kind.startswith("response.") and "choices" not in value
    return value if is_plain and not value.get("error") else None
