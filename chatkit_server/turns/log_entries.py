"""The entries of a turn's log: events, and runs of text whose deltas can be read from any of them on."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from ..events.frames import frame, text_delta_prefix, text_frame

RUN_SIZE = 4096
"""About how large a run of text becomes, in characters plus `DELTA_SIZE` for each delta."""
DELTA_SIZE = 4
EVENT_SIZE = 128
"""What an event counts in addition to its bytes."""

STORED_SIZE = 16 * 1024
"""How many bytes of a finished item are kept for readers who are late after the end of a turn."""
_DONE = re.compile(rb'\{"type":"thread\.item\.done","item":\{"id":"([^"\\]+)"')


class Event:
    """One numbered event. `before` is the number before its own."""

    __slots__ = ("before", "data", "item_id", "last", "size")

    def __init__(self, before: int, number: int, data: bytes, *, is_lasting: bool) -> None:
        self.before = before
        self.last = number
        self.data = frame(number, data)
        self.size = EVENT_SIZE + (0 if is_lasting else len(data))  # a lasting one is kept anyway
        self.item_id: str | None = None
        """Of a long item that is done, and so can be loaded instead."""
        if len(data) > STORED_SIZE and (done := _DONE.match(data)):
            self.item_id = done[1].decode()


class TextRun:
    """Consecutive text deltas of one content part, with consecutive numbers after `before`."""

    __slots__ = ("_ends", "_text", "before", "content_index", "item_id", "last", "pieces", "prefix", "size")

    def __init__(self, before: int, item_id: str, content_index: int) -> None:
        self.before = self.last = before
        self.item_id = item_id
        self.content_index = content_index
        self.prefix = text_delta_prefix(item_id, content_index)
        self.pieces: list[str] = []
        """The deltas; empty once the run is sealed."""
        self.size = 0
        self._text = ""
        self._ends: array[int] | None = None

    def is_same_part(self, other: "TextRun") -> bool:
        """Return whether both are text of the same content part."""
        return self.item_id == other.item_id and self.content_index == other.content_index

    def seal(self) -> None:
        """Store the text as one string, because no more comes."""
        self._text = "".join(self.pieces)
        self._ends = array("I", accumulate(map(len, self.pieces)))
        self.pieces = []

    def text_after(self, position: int) -> str:
        """Return the text of the deltas after number `position`."""
        skipped = max(0, position - self.before)
        if self._ends is not None:
            return self._text[self._ends[skipped - 1] :] if skipped else self._text
        pieces = self.pieces
        return "".join(pieces[skipped:] if skipped else pieces)


Entry = Event | TextRun


def index_after(entries: Sequence[Entry], position: int) -> int | None:
    """Return the index of the first entry with something after number `position`; None if that is not a number of the
    log, or if what follows it was dropped."""
    index = bisect_right(entries, position, key=_last)
    if index == len(entries):
        return index if entries and entries[-1].last == position else None
    entry = entries[index]
    is_next = entry.before == position or (type(entry) is TextRun and entry.before < position)
    return index if is_next else None


def frames_of(entries: Iterable[Entry], position: int) -> bytes:
    """Return the frames of what the entries have after number `position`, with one frame per part's text."""
    frames: list[bytes] = []
    texts: list[str] = []
    run: TextRun | None = None
    for entry in entries:
        if isinstance(entry, TextRun):
            if run is not None and not run.is_same_part(entry):
                frames.append(text_frame(run.last, run.prefix, "".join(texts)))
                texts = []
            run = entry
            texts.append(entry.text_after(position))
            continue
        if run is not None:
            frames.append(text_frame(run.last, run.prefix, "".join(texts)))
            run, texts = None, []
        frames.append(entry.data)
    if run is not None:
        frames.append(text_frame(run.last, run.prefix, "".join(texts)))
    return frames[0] if len(frames) == 1 else b"".join(frames)


def _last(entry: Entry) -> int:
    return entry.last
