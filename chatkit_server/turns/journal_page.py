"""The page of one turn: what the next batch of the journal writes of it."""

import math
from dataclasses import dataclass

from chatkit_store import Entry

from ..events.frames import beginnings, encode_text_delta
from ..memory import Transcript
from .log_entries import TextRun

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
        self._has_reader = False
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

    def record_run(self, run: TextRun) -> None:
        """Add a run of text with what it has and will get until the next event; each batch reads what is new of it."""
        self._entries.append(_Text(run))

    def take(self, now: float, *, is_last: bool = False) -> PagePart:
        """Remove and return what is to be written; the caller writes it or gives it back.

        `now` is in seconds. With `is_last` the transcript is not delayed, since nothing is taken after this.
        """
        entries = self._take_entries()
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

    def _take_entries(self) -> list[Entry]:
        collected, self._entries = self._entries, []
        entries: list[Entry] = []
        texts: list[str] = []
        run: TextRun | None = None
        for entry in collected:
            if isinstance(entry, _Text):
                if (text := entry.take()) is not None:
                    if run is not None and not run.is_same_part(entry.run):
                        entries.append(self._text_entry(run, texts))
                        texts = []
                    run = entry.run
                    texts.append(text)
                continue
            if run is not None:
                entries.append(self._text_entry(run, texts))
                run, texts = None, []
            entries.append(entry)
        if run is not None:
            entries.append(self._text_entry(run, texts))
        if collected and isinstance(collected[-1], _Text):
            self._entries.append(collected[-1])  # it may get more
        return entries

    def _text_entry(self, run: TextRun, texts: list[str]) -> Entry:
        data = encode_text_delta(run.item_id, run.content_index, "".join(texts))
        return Entry(self.turn_id, run.last, data.decode())

    def count_reader(self) -> None:
        """Have the next batch count the first reader."""
        self._has_new_reader = self._has_new_reader or not self._has_reader
        self._has_reader = True

    @property
    def counted_readers(self) -> int:
        """How many readers the database knows of, or gets to know by a batch that is being written: 0 or 1.

        The turn's end counts the others: after it, no batch does.
        """
        return int(self._has_reader and not self._has_new_reader)

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
    """A run of text, and how much of it batches have."""

    __slots__ = ("run", "taken")

    def __init__(self, run: TextRun) -> None:
        self.run = run
        self.taken = run.before
        """The number of the last delta in a batch."""

    def take(self) -> str | None:
        """Return the text that no batch has yet; None if there was no delta since."""
        if self.taken == self.run.last:
            return None
        text = self.run.text_after(self.taken)
        self.taken = self.run.last
        return text
