"""The frames of one turn, for any number of readers that come, lag and leave without the turn noticing.

Text is gathered: the first piece of a burst is a frame at once, those that follow within the flush window share one
(the widget smooths text by itself, up to 0.2 s are not visible). So a frame is encoded once, however many read it.

Memory is bounded: of a long answer only the last frames are kept, and those that tell more than text. A reader that
lags gets the text that it has missed in one frame; one that lags beyond what is kept gets a catch-up instead.
"""

import asyncio
import contextlib
from asyncio import Future
from bisect import bisect_left
from collections.abc import Callable, Iterable

from chatkit.types import (
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from ..events.frames import encode_event, encode_text_delta, frame, serialize
from .journal_page import Page

WINDOW = 128
"""How many frames a reader may lag behind before it gets a catch-up; up to twice as many are kept."""
LAG = 8
"""A reader that lags more frames than this gets its text merged."""


class Frame:
    """One event with its number. Of a text delta the parts are kept, so that several can be merged."""

    __slots__ = ("_data", "content_index", "is_lasting", "item_id", "number", "text")

    def __init__(self, number: int, data: bytes | None, *, is_lasting: bool = False) -> None:
        self.number = number
        self.is_lasting = is_lasting
        self.item_id = ""
        self.content_index = 0
        self.text: str | None = None
        self._data = None if data is None else frame(number, data)

    @classmethod
    def of_text(cls, number: int, item_id: str, content_index: int, text: str) -> "Frame":
        """A text delta; it is encoded when somebody reads it."""
        made = cls(number, None)
        made.item_id, made.content_index, made.text = item_id, content_index, text
        return made

    @property
    def data(self) -> bytes:
        """As it is sent."""
        if self._data is None:
            self._data = frame(self.number, encode_text_delta(self.item_id, self.content_index, self.text or ""))
        return self._data

    def continues(self, other: "Frame") -> bool:
        """Whether both are text of the same part of an item."""
        is_text = self.text is not None and other.text is not None
        return is_text and self.item_id == other.item_id and self.content_index == other.content_index


class TurnLog:
    """Append-only; `close` tells the readers that nothing more comes.

    `still_open` gives the items that are being written, for the catch-up of a reader that lags too far behind; `page`
    takes all of it for the journal.
    """

    def __init__(
        self,
        flush_seconds: float = 0.0,
        flush_tokens: int = 64,
        *,
        still_open: Callable[[], Iterable[ThreadItemAddedEvent]] = tuple,
        page: Page | None = None,
    ) -> None:
        self.closed = False
        self._flush_seconds = flush_seconds
        self._flush_tokens = flush_tokens
        self._still_open = still_open
        self._page = page
        self._frames: list[Frame] = []
        self._lasting: list[Frame] = []
        self._last = 0
        self._whole_from = 0  # readers that have seen this frame, or a later one, need no catch-up
        self._item_id = ""
        self._content_index = 0
        self._pending: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._cached: tuple[int, int, bytes] = (0, 0, b"")
        self._waiting: list[Future[None]] = []

    @property
    def last(self) -> int:
        """The number of the last frame."""
        return self._last

    # -- writing

    def append(self, event: ThreadStreamEvent, number: int | None = None) -> None:
        """Adds an event as the next frame, behind the text that waits, and wakes the readers."""
        removed = event.item_id if isinstance(event, ThreadItemRemovedEvent) else None
        self.append_encoded(encode_event(event), is_lasting=lasts(event), number=number, removed=removed)

    def append_encoded(
        self, data: bytes, *, is_lasting: bool, number: int | None = None, removed: str | None = None
    ) -> None:
        """As `append`, for an event's JSON. `is_lasting`: a reader that comes much later has to be told it as well;
        `removed` is the id of the item that it takes away."""
        self.flush()
        added = Frame(number or self._last + 1, data, is_lasting=is_lasting)
        if is_lasting:
            self._lasting.append(added)
        if self._page is not None:
            self._page.record(added.number, data, removed)
        self._add(added)

    def append_text(self, item_id: str, content_index: int, delta: str) -> None:
        """The hot path: a piece of an item's text."""
        if self._timer is None:  # the first of a burst leaves at once
            self._add_text(item_id, content_index, [delta])
            if self._flush_seconds:
                self._timer = asyncio.get_running_loop().call_later(self._flush_seconds, self._flush_window_ends)
            return
        if item_id != self._item_id or content_index != self._content_index:
            self.flush()
            self._item_id, self._content_index = item_id, content_index
        self._pending.append(delta)
        if len(self._pending) >= self._flush_tokens:
            self.flush()

    def flush(self) -> None:
        """Makes a frame of the text that waits."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._add_text(self._item_id, self._content_index, pending)

    def close(self) -> None:
        """Ends the log."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
        self.closed = True
        self.wake()

    def _add_text(self, item_id: str, content_index: int, pieces: list[str]) -> None:
        added = Frame.of_text(
            self._last + 1, item_id, content_index, pieces[0] if len(pieces) == 1 else "".join(pieces)
        )
        if self._page is not None:
            self._page.record_text(added.number, item_id, content_index, pieces)
        self._add(added)

    def _add(self, added: Frame) -> None:
        self._frames.append(added)
        self._last = added.number
        if len(self._frames) > 2 * WINDOW:
            self._whole_from = self._frames[-WINDOW - 1].number
            del self._frames[:-WINDOW]
        if self._waiting:
            self.wake()

    def _flush_window_ends(self) -> None:
        if self._pending:
            self.flush()
            self._timer = asyncio.get_running_loop().call_later(self._flush_seconds, self._flush_window_ends)
        else:
            self._timer = None

    # -- reading

    def since(self, seen: int) -> bytes:
        """All frames after number `seen`, in one piece; of many of them the text is merged.

        Where they are not kept any more, or `seen` is no frame of this log: what a reader has to be told instead.
        """
        if self._cached[:2] == (seen, self._last):  # readers mostly go hand in hand
            return self._cached[2]
        start = bisect_left(self._frames, seen + 1, key=_number)
        if self._knows(seen, start):
            new = self._frames[start:]
            data = b"".join(_merged(new) if len(new) > LAG else [known.data for known in new])
        else:
            data = self._catch_up(seen)
        self._cached = (seen, self._last, data)
        return data

    def _knows(self, seen: int, start: int) -> bool:
        is_kept = start > 0 and self._frames[start - 1].number == seen
        return is_kept or seen == self._whole_from

    def _catch_up(self, seen: int) -> bytes:
        self.flush()  # the open items hold the text that waits, too
        told = [known.data for known in self._lasting if known.number > seen]
        opened = [serialize(event) for event in self._still_open()]
        told += [b"data: %b\n\n" % data for data in opened[:-1]] + [frame(self._last, data) for data in opened[-1:]]
        return b"".join(told)

    async def changed(self) -> None:
        """Waits for the next frame, the end, or a `wake`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    def wake(self) -> None:
        """Lets every reader look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def lasts(event: ThreadStreamEvent) -> bool:
    """Whether a reader that comes much later has to be told it: all but how items got where they are now."""
    return not isinstance(event, ThreadItemUpdatedEvent | ThreadItemAddedEvent | ProgressUpdateEvent)


def _number(known: Frame) -> int:
    return known.number


def _merged(frames: list[Frame]) -> Iterable[bytes]:
    """The frames' bytes, with one frame for each run of text in the same place."""
    run: list[Frame] = []
    for known in frames:
        if run and not known.continues(run[0]):
            yield _as_one(run)
            run = []
        run.append(known)
    if run:
        yield _as_one(run)


def _as_one(run: list[Frame]) -> bytes:
    if len(run) == 1:
        return run[0].data
    first, last = run[0], run[-1]
    return Frame.of_text(last.number, first.item_id, first.content_index, "".join(f.text or "" for f in run)).data
