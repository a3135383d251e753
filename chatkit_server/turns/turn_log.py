"""The frames of one turn, for any number of readers that come, lag and leave without affecting the turn.

Each text delta has a number of its own. A reader that reads several at once gets their text in one frame with the last
number; when a reader reads is its own matter (`subscription.py`).

Memory is bounded: only the newest entries are kept, and the lasting events (see `belongs_in_catch_up`). A reader that
lags beyond them gets a catch-up instead. Of a turn that has ended, long items are not kept either: they are loaded, one
by one, when the reader gets to them.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import monotonic
from weakref import ReferenceType, ref

from chatkit.types import (
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from ..events.frames import encode_event, frame, serialize, text_frame
from ..fast_path.shared_clock import clock
from .journal_page import Page
from .log_entries import DELTA_SIZE, RUN_SIZE, Entry, Event, TextRun, frames_of, index_after
from .subscription import Pace, Subscription

KEPT_SIZE = 128 * 1024
"""How far a reader may lag before it may get a catch-up, in sizes of entries (`log_entries.py`)."""
LATE_SECONDS = 1.0
"""How long after the end of a turn its readers are late: they do not read, or not as fast as the turn wrote."""

LoadDone = Callable[[str], Awaitable[bytes]]
"""Loads the JSON of the event that says that an item is done; empty if it is gone."""


class TurnLog:
    """An append-only log of frames. `close` tells the readers that no more will come.

    `still_open` returns the items that are still open, for a catch-up; `page` receives everything for the journal.
    """

    __slots__ = (
        "__weakref__",
        "_cached",
        "_ended",
        "_entries",
        "_kept_size",
        "_lasting",
        "_load_done",
        "_page",
        "_readers",
        "_run",
        "_still_open",
        "closed",
        "is_shortened",
        "last",
    )

    def __init__(
        self, *, still_open: Callable[[], Iterable[ThreadItemAddedEvent]] = tuple, page: Page | None = None
    ) -> None:
        self.closed = False
        self.last = 0
        """The number of the last frame."""
        self._still_open = still_open
        self._page = page
        self._entries: list[Entry] = []
        self._kept_size = 0
        """Of all entries but the open run."""
        self._run: TextRun | None = None
        """The last entry, if text may be added to it."""
        self._lasting: list[Event] = []
        self._cached: tuple[int, int, bytes] = (0, 0, b"")
        self._readers: list[Subscription] = []
        self._ended: list[Future[None]] = []
        self._load_done: LoadDone | None = None
        self.is_shortened = False
        """Whether it has ended and left its long items to the database: read it with `load_since`."""

    # -- writing

    def append(self, event: ThreadStreamEvent, number: int | None = None) -> None:
        """Add an event as the next frame."""
        removed = event.item_id if isinstance(event, ThreadItemRemovedEvent) else None
        self.append_encoded(encode_event(event), is_lasting=belongs_in_catch_up(event), number=number, removed=removed)

    def append_encoded(
        self, data: bytes, *, is_lasting: bool, number: int | None = None, removed: str | None = None
    ) -> None:
        """As `append`, for an event's JSON.

        `is_lasting` says that a catch-up must contain it; `removed` is the id of the item that it removes.
        """
        self._seal()
        event = Event(self.last, number or self.last + 1, data, is_lasting=is_lasting)
        if is_lasting:
            self._lasting.append(event)
        if self._page is not None:
            self._page.record(event.last, data, removed)
        self._entries.append(event)
        self.last = event.last
        self._keep(event.size)
        for reader in self._readers:
            reader.event_came()

    def append_text(self, item_id: str, content_index: int, delta: str) -> None:
        """Add a text delta. This is the hot path: it ends in the transports of the clients that keep up."""
        run = self._run
        if run is None or run.item_id != item_id or run.content_index != content_index:
            self._seal()
            run = self._run = TextRun(self.last, item_id, content_index)
            self._entries.append(run)
            if self._page is not None:
                self._page.record_run(run)
        self.last = run.last = self.last + 1
        run.pieces.append(delta)
        run.size += len(delta) + DELTA_SIZE
        if self._readers:
            now = monotonic()
            for reader in self._readers:
                reader.text_came(now)
        if run.size > RUN_SIZE:
            self._seal()

    def close(self, load_done: LoadDone | None = None) -> None:
        """End the log. With `load_done`, late readers are given long items that it loads."""
        self.closed = True
        if load_done is not None and self._readers and any(event.item_id for event in self._lasting):
            self._load_done = load_done
            clock().call_later(LATE_SECONDS, partial(_shorten, ref(self)))  # which its last reader does not wait for
        self._cached = (0, 0, b"")
        self._page = None
        if not list(self._still_open()):
            self._still_open = tuple  # it refers to the turn, which readers of the rest do not need
        self.wake()
        for future in self._ended:
            if not future.done():
                future.set_result(None)
        self._ended.clear()

    def shorten(self) -> None:
        """Keep only what cannot be loaded, for readers who are late."""
        self.is_shortened = True
        self._entries.clear()
        for event in self._lasting:
            if event.item_id is not None:
                event.data = b""

    def _seal(self) -> None:
        if (run := self._run) is not None:
            self._run = None
            run.seal()
            self._keep(run.size)

    def _keep(self, size: int) -> None:
        self._kept_size += size
        if self._kept_size > KEPT_SIZE:
            dropped = 0
            while self._kept_size > KEPT_SIZE and dropped < len(self._entries) - 1:
                self._kept_size -= self._entries[dropped].size
                dropped += 1
            del self._entries[:dropped]

    # -- reading

    def since(self, position: int) -> bytes:
        """Return the bytes of all frames after number `position`, with the text of consecutive deltas merged.

        If they are no longer kept, or `position` is not a frame of this log, return a catch-up instead.
        """
        is_shared = len(self._readers) > 1
        if is_shared and self._cached[:2] == (position, self.last):  # most readers are equally far
            return self._cached[2]
        run = self._run
        if run is not None and run.before <= position < run.last:  # the hot path
            text = run.pieces[-1] if position == run.last - 1 else run.text_after(position)
            data = text_frame(run.last, run.prefix, text)
        else:
            index = index_after(self._entries, position)
            data = self._catch_up(position) if index is None else frames_of(self._entries[index:], position)
        if is_shared:
            self._cached = (position, self.last, data)
        return data

    async def load_since(self, position: int) -> tuple[bytes, int]:
        """As `since`, for a log that is shortened: return the next event, or what there is at the end, and its number.

        Raises what `load_done` raises.
        """
        event = next((event for event in self._lasting if event.last > position), None)
        if event is None:
            return self._catch_up(position), self.last
        if event.data or self._load_done is None or event.item_id is None:
            return event.data, event.last
        data = await self._load_done(event.item_id)
        return frame(event.last, data) if data else b"", event.last

    def _catch_up(self, position: int) -> bytes:
        # The reader missed frames that are gone. The lasting frames and the open items replace them; those are sent as
        # `added` with all their text so far.
        parts = [missed.data for missed in self._lasting if missed.last > position]
        opened = [serialize(event) for event in self._still_open()]
        # Only the last one has an id: a reader that breaks off before it must not resume after it.
        parts += [b"data: %b\n\n" % data for data in opened[:-1]] + [frame(self.last, data) for data in opened[-1:]]
        return b"".join(parts)

    def subscribe(self, position: int, pace: Pace) -> Subscription:
        """Return a reader's subscription to what comes after number `position`; leave it with `unsubscribe`."""
        subscription = Subscription(self, position, pace)
        self._readers = [*self._readers, subscription]
        self._share_pace()
        return subscription

    def has_readers(self) -> bool:
        """Return whether anybody reads the log."""
        return bool(self._readers)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a reader's subscription."""
        self._readers = [reader for reader in self._readers if reader is not subscription]
        self._cached = (0, 0, b"")
        self._share_pace()

    def _share_pace(self) -> None:
        for reader in self._readers:
            reader.share(len(self._readers))

    def wake(self) -> None:
        """Wake every reader that sleeps in `Subscription.changed`."""
        for reader in self._readers:
            reader.wake()

    async def ended(self) -> None:
        """Wait until the log is closed."""
        if not self.closed:
            future = asyncio.get_running_loop().create_future()
            self._ended.append(future)
            await future


def _shorten(log: ReferenceType[TurnLog]) -> None:
    if (late := log()) is not None and late.has_readers():
        late.shorten()


def belongs_in_catch_up(event: ThreadStreamEvent) -> bool:
    """Return whether a catch-up must contain the event; the open items replace those that this excludes."""
    return not isinstance(event, ThreadItemUpdatedEvent | ThreadItemAddedEvent | ProgressUpdateEvent)
