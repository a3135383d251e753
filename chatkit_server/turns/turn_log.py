"""The frames of one turn, for any number of readers that come, lag and leave without affecting the turn.

Text deltas are batched: the first of a burst becomes a frame at once, those that follow within the flush window share
one (the widget smooths text itself; a delay of up to 0.2 s is not visible). Each frame is encoded once for all readers.

Memory is bounded: only the last frames are kept, and the lasting ones (see `belongs_in_catch_up`). A reader that lags
gets the text that it has missed in one frame; a reader that lags beyond the kept frames gets a catch-up instead.
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
"""How many frames a reader may lag behind before it may get a catch-up; up to twice as many are kept."""
LAG = 8
"""A reader that lags more frames than this gets its text deltas merged."""


class Frame:
    """One numbered event. A text delta is kept in parts, so that several can be merged."""

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
        """Make the frame of a text delta; it is encoded when first read."""
        text_frame = cls(number, None)
        text_frame.item_id, text_frame.content_index, text_frame.text = item_id, content_index, text
        return text_frame

    @property
    def data(self) -> bytes:
        """The frame's bytes on the wire."""
        if self._data is None:
            self._data = frame(self.number, encode_text_delta(self.item_id, self.content_index, self.text or ""))
        return self._data

    def continues(self, other: "Frame") -> bool:
        """Return whether both are text of the same content part."""
        is_text = self.text is not None and other.text is not None
        return is_text and self.item_id == other.item_id and self.content_index == other.content_index


class TurnLog:
    """An append-only log of frames. `close` tells the readers that no more will come.

    `still_open` returns the items that are still open, for a catch-up; `page` receives everything for the journal.
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
        self._kept_after = 0  # all frames after this number are kept
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
        """Add an event as the next frame, after the pending text, and wake the readers."""
        removed = event.item_id if isinstance(event, ThreadItemRemovedEvent) else None
        self.append_encoded(encode_event(event), is_lasting=belongs_in_catch_up(event), number=number, removed=removed)

    def append_encoded(
        self, data: bytes, *, is_lasting: bool, number: int | None = None, removed: str | None = None
    ) -> None:
        """As `append`, for an event's JSON.

        `is_lasting` says that a catch-up must contain it; `removed` is the id of the item that it removes.
        """
        self.flush()
        new_frame = Frame(number or self._last + 1, data, is_lasting=is_lasting)
        if is_lasting:
            self._lasting.append(new_frame)
        if self._page is not None:
            self._page.record(new_frame.number, data, removed)
        self._add(new_frame)

    def append_text(self, item_id: str, content_index: int, delta: str) -> None:
        """Add a text delta. This is the hot path."""
        if self._timer is None:  # the first of a burst is sent at once
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
        """Make a frame of the pending text."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._add_text(self._item_id, self._content_index, pending)

    def close(self) -> None:
        """End the log."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
        self.closed = True
        self.wake()

    def _add_text(self, item_id: str, content_index: int, pieces: list[str]) -> None:
        text = pieces[0] if len(pieces) == 1 else "".join(pieces)
        new_frame = Frame.of_text(self._last + 1, item_id, content_index, text)
        if self._page is not None:
            self._page.record_text(new_frame.number, item_id, content_index, pieces)
        self._add(new_frame)

    def _add(self, new_frame: Frame) -> None:
        self._frames.append(new_frame)
        self._last = new_frame.number
        if len(self._frames) > 2 * WINDOW:
            self._kept_after = self._frames[-WINDOW - 1].number
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

    def since(self, last_read: int) -> bytes:
        """Return the bytes of all frames after number `last_read`; the text of many frames is merged.

        If they are no longer kept, or `last_read` is not a frame of this log, return a catch-up instead.
        """
        if self._cached[:2] == (last_read, self._last):  # most readers are equally far
            return self._cached[2]
        start = bisect_left(self._frames, last_read + 1, key=_number)
        if self._has_all_after(last_read, start):
            unread = self._frames[start:]
            data = b"".join(_merged(unread) if len(unread) > LAG else [each.data for each in unread])
        else:
            data = self._catch_up(last_read)
        self._cached = (last_read, self._last, data)
        return data

    def _has_all_after(self, last_read: int, start: int) -> bool:
        is_kept = start > 0 and self._frames[start - 1].number == last_read
        return is_kept or last_read == self._kept_after

    def _catch_up(self, last_read: int) -> bytes:
        # The reader missed frames that are gone. The lasting frames and the open items replace them; those are sent as
        # `added` with all their text so far. That includes the pending text, which must not follow as a delta: flush.
        self.flush()
        parts = [missed.data for missed in self._lasting if missed.number > last_read]
        opened = [serialize(event) for event in self._still_open()]
        # Only the last one has an id: a reader that breaks off before it must not resume after it.
        parts += [b"data: %b\n\n" % data for data in opened[:-1]] + [frame(self._last, data) for data in opened[-1:]]
        return b"".join(parts)

    async def changed(self) -> None:
        """Wait for the next frame, the end, or a `wake`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    def wake(self) -> None:
        """Wake every reader that waits in `changed`."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def belongs_in_catch_up(event: ThreadStreamEvent) -> bool:
    """Return whether a catch-up must contain the event; the open items replace those that this excludes."""
    return not isinstance(event, ThreadItemUpdatedEvent | ThreadItemAddedEvent | ProgressUpdateEvent)


def _number(item: Frame) -> int:
    return item.number


def _merged(frames: list[Frame]) -> Iterable[bytes]:
    """Yield the frames' bytes, with one frame for each run of text of the same content part."""
    run: list[Frame] = []
    for each in frames:
        if run and not each.continues(run[0]):
            yield _merge_run(run)
            run = []
        run.append(each)
    if run:
        yield _merge_run(run)


def _merge_run(run: list[Frame]) -> bytes:
    if len(run) == 1:
        return run[0].data
    first, last = run[0], run[-1]
    return Frame.of_text(last.number, first.item_id, first.content_index, "".join(f.text or "" for f in run)).data
