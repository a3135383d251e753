"""The page of one turn: what the next batch of the journal writes of it."""

import math
from dataclasses import dataclass
from io import StringIO

from chatkit_store import Entry

from ..events.frames import beginnings, encode_text_delta
from ..memory import Transcript

TRANSCRIPT_PACE = 500_000
"""Characters of a transcript to write per second, on average.

A transcript is always written as a whole, so writing it after every change would cost the square of its length. A
million characters take 3 ms of the event loop, and the database rewrites the whole column.
"""


@dataclass(frozen=True)
class PagePart:
    """What one batch writes of one turn."""

    entries: list[Entry]
    has_transcript: bool
    """Whether this batch writes the transcript: it has changed and its pause is over."""
    has_reader: bool = False
    """Whether this batch counts the turn's first reader."""
    is_announced: bool = False
    """Whether other workers are notified of this batch."""


class Page:
    """Collect a turn's events, with consecutive text deltas merged, and its transcript."""

    def __init__(self, turn_id: str, transcript: Transcript) -> None:
        self.turn_id = turn_id
        self.transcript = transcript
        self.counted_readers = 0
        """How many readers the database knows of, or gets to know by the next batch: 0 or 1."""
        self._has_new_reader = False
        self._is_followed = False
        self._has_new_follower = False
        self._entries: list[Entry | _Text] = []
        self._written_version = 0
        self._written_at = -math.inf
        self._written_size = 0

    def record(self, number: int, data: bytes, removed: str | None = None) -> None:
        """Add the JSON of the event with that frame number.

        `removed` is the id of the item that it removes; all earlier events of that item are deleted from the journal.
        """
        erases = () if removed is None else beginnings(removed)
        self._entries.append(Entry(self.turn_id, number, data.decode(), erases))

    def record_text(self, number: int, item_id: str, content_index: int, text: str) -> None:
        """Add text; merge it with the text before it if both belong to the same content part."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, _Text) and last.item_id == item_id and last.content_index == content_index:
            last.number = number
            last.text.write(text)
        else:
            self._entries.append(_Text(number, item_id, content_index, text))

    def take(self, now: float, *, is_last: bool = False) -> PagePart:
        """Remove and return what is to be written; the caller writes it or gives it back.

        `now` is in seconds. With `is_last` the transcript is not delayed, since nothing is taken after this.
        """
        collected, self._entries = self._entries, []
        entries = [entry if isinstance(entry, Entry) else entry.entry(self.turn_id) for entry in collected]
        transcript = self.transcript
        pause = min(self._written_size, transcript.size) / TRANSCRIPT_PACE  # a transcript that got shorter waits less
        is_due = is_last or now >= self._written_at + pause
        has_transcript = is_due and self._written_version != transcript.version
        if has_transcript:
            self._written_version, self._written_at, self._written_size = transcript.version, now, transcript.size
        has_reader, self._has_new_reader = self._has_new_reader, False
        is_announced = self._has_new_follower or (self._is_followed and bool(entries))
        self._has_new_follower = False
        return PagePart(entries, has_transcript, has_reader, is_announced)

    def count_reader(self) -> None:
        """Have the next batch count the first reader."""
        if not self.counted_readers:
            self.counted_readers, self._has_new_reader = 1, True

    def follow(self) -> None:
        """Announce the next batch, and each one with events from then on: another worker has a reader."""
        self._has_new_follower = self._has_new_follower or not self._is_followed
        self._is_followed = True

    def give_back(self, part: PagePart) -> None:
        """Put back what could not be written; it is taken first next time."""
        self._entries[:0] = part.entries
        self._has_new_reader = self._has_new_reader or part.has_reader
        self._has_new_follower = self._has_new_follower or part.is_announced
        if part.has_transcript:
            self._written_version = -1
            self._written_at = -math.inf


class _Text:
    """A text delta that more text may be merged into."""

    __slots__ = ("content_index", "item_id", "number", "text")

    def __init__(self, number: int, item_id: str, content_index: int, text: str) -> None:
        self.number = number
        self.item_id = item_id
        self.content_index = content_index
        self.text = StringIO()  # a tenth of the memory of a list of deltas
        self.text.write(text)

    def entry(self, turn_id: str) -> Entry:
        data = encode_text_delta(self.item_id, self.content_index, self.text.getvalue())
        return Entry(turn_id, self.number, data.decode())
