"""What one turn has for the journal until the next batch."""

import math
from dataclasses import dataclass

from chatkit_store import Entry

from ..events.frames import beginnings, encode_text_delta
from ..memory import Transcript

TRANSCRIPT_PACE = 500_000
"""Characters of a transcript that are written in a second: all of it is written each time, so what tools returned
would cost the square of its length. A million take 3 ms of the event loop, and the database the whole column."""


@dataclass(frozen=True)
class Taken:
    """What a batch writes of one turn."""

    entries: list[Entry]
    has_transcript: bool
    """Whether the transcript has changed since it was written last, and its pace lets it be written again."""


class Page:
    """What one turn has to write: events, the text between them in one piece for each part of an item, and its
    transcript as it stands."""

    def __init__(self, turn_id: str, transcript: Transcript) -> None:
        self.turn_id = turn_id
        self.transcript = transcript
        self._entries: list[Entry | _Text] = []
        self._written = 0
        self._written_at = -math.inf
        self._written_size = 0

    def record(self, number: int, data: bytes, removed: str | None = None) -> None:
        """Takes an event's JSON, the frame with that number. `removed`: the id of the item that it takes away, of which
        nothing stays in the journal."""
        erases = () if removed is None else beginnings(removed)
        self._entries.append(Entry(self.turn_id, number, data.decode(), erases))

    def record_text(self, number: int, item_id: str, content_index: int, pieces: list[str]) -> None:
        """Takes text, which goes on from the text before it or starts anew."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, _Text) and last.item_id == item_id and last.content_index == content_index:
            last.number = number
            last.pieces += pieces
        else:
            self._entries.append(_Text(number, item_id, content_index, pieces))

    def take(self, now: float, *, is_last: bool = False) -> Taken:
        """All that is here, which is then the caller's to write or to give back; `now` in seconds. `is_last`: nothing
        is taken after this, so the transcript does not wait."""
        taken, self._entries = self._entries, []
        entries = [known if isinstance(known, Entry) else known.entry(self.turn_id) for known in taken]
        transcript = self.transcript
        pause = min(self._written_size, transcript.size) / TRANSCRIPT_PACE  # what was taken back does not wait
        is_due = is_last or now >= self._written_at + pause
        has_transcript = is_due and self._written != transcript.version
        if has_transcript:
            self._written, self._written_at, self._written_size = transcript.version, now, transcript.size
        return Taken(entries, has_transcript)

    def give_back(self, taken: Taken) -> None:
        """It could not be written; it is the first to be taken again."""
        self._entries[:0] = taken.entries
        if taken.has_transcript:
            self._written = -1
            self._written_at = -math.inf


class _Text:
    """A text delta that grows."""

    __slots__ = ("content_index", "item_id", "number", "pieces")

    def __init__(self, number: int, item_id: str, content_index: int, pieces: list[str]) -> None:
        self.number = number
        self.item_id = item_id
        self.content_index = content_index
        self.pieces = list(pieces)

    def entry(self, turn_id: str) -> Entry:
        data = encode_text_delta(self.item_id, self.content_index, "".join(self.pieces))
        return Entry(turn_id, self.number, data.decode())
