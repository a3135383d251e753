"""A running turn as its readers see it, whether this worker runs it (`turn.py`) or another one does (`remote.py`)."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Literal

from chatkit.types import ClientToolCallItem, StreamOptions, ThreadItem, ThreadItemAddedEvent, ThreadStreamEvent

from chatkit_store import Owner

from ..events.copies import deep_copy
from ..events.fold import TurnItems, is_empty
from ..events.snapshot import snapshot, without_calls
from ..fast_path.shared_clock import clock
from .turn_log import TurnLog

StopReason = Literal["user", "disconnected", "superseded", "deleted", "shutdown", "lost"]
"""Why a turn ends before its agent does; `lost`: another worker considered this one dead and closed the turn."""


READ_SECONDS = 0.5
"""A turn counts as read once a connection has been open for this long after its first frame.

A proxy that fails after our first byte closes its connection at once, answers its client with 502, and the widget posts
the same message again. Such a post must join the turn.
"""
READ_POLL_SECONDS = 0.02


@dataclass(eq=False)
class Reader:
    """A connection that reads a turn.

    `is_gone`: stop reading. `is_cut`: close the connection without ending the response, so that the client re-attaches.
    """

    frame_id: str | None
    turn: "LiveTurn | None" = None
    """What it reads. None once the turn has ended: only the log is needed to read the rest, however long that takes."""
    is_gone: bool = False
    is_cut: bool = False
    first_frame_at: float | None = None
    """When its first frame was sent, by `time.monotonic`."""


class LiveTurn(ABC):
    """A turn that runs, or has just ended."""

    log: TurnLog

    def __init__(self, turn_id: str, thread_id: str, owner: Owner, options: StreamOptions) -> None:
        self.id = turn_id
        self.thread_id = thread_id
        self.owner = owner
        self.items = TurnItems()
        self.opening_frames = 0
        """How many of the log's first frames came from the request itself, before the agent ran."""
        self.readers = 0
        """How many connections have read it on this worker, in total."""
        self.is_read = False
        """Whether a reader has got the turn for `READ_SECONDS`."""
        self._options = options
        self._reading: set[Reader] = set()

    @property
    def first_token_ms(self) -> int | None:
        """Milliseconds until the first text; None before it, and for another worker's turn."""
        return None

    def begin(self) -> None:  # noqa: B027 - not abstract: a remote turn has begun
        """Send its first events, unless that was done: before its agent is set up, and by its first response at the
        latest."""

    @abstractmethod
    def detach(self) -> None:
        """Let the turn run without readers: its client has promised to stop it explicitly (`x-chatkit-detach: 1`)."""

    @abstractmethod
    def last_reader_left(self) -> None:
        """React to the departure of the last reader."""

    @abstractmethod
    def is_hidden(self, item_id: str) -> bool:
        """Return whether only the model may see the item."""

    @abstractmethod
    async def saved_ids(self) -> Collection[str]:
        """Return the ids of items that have a row, at least the open ones."""

    def connection_was_cut(self) -> None:  # noqa: B027 - not abstract: a remote turn ignores it
        """React to the HTTP server's cutting its connections at shutdown."""

    def may_send(self) -> bool:
        """Return whether its frames may be sent now; else await `confirm` first."""
        return True

    async def confirm(self) -> None:  # noqa: B027 - not abstract: what comes from the journal may always be sent
        """Return once it is known whether this worker still has the turn."""

    def got_first_frame(self, reader: Reader) -> None:
        """Note that the first frame was sent to the reader."""
        reader.first_frame_at = monotonic()
        if not self.is_read:
            clock().call_later(READ_SECONDS, partial(self._check_is_read, reader))

    def _check_is_read(self, reader: Reader) -> None:
        if reader in self._reading and not self.is_read:
            self.is_read = True
            self.was_read()

    def was_read(self) -> None:  # noqa: B027 - not abstract: a remote turn tells the database itself
        """React to the first reader that has got the turn for `READ_SECONDS`."""

    async def is_read_before(self, moment: float) -> bool:
        """Return whether a client had got the answer before `moment`, so that it has no reason to post again.

        If a reader has got its first frame only just now, wait to see whether it stays.
        """
        while not self.is_read and self._has_reader_before(moment):  # noqa: ASYNC110 - a reader leaves unannounced
            await asyncio.sleep(READ_POLL_SECONDS)
        return self.is_read or self.log.closed

    def _has_reader_before(self, moment: float) -> bool:
        return any(reader.first_frame_at is not None and reader.first_frame_at < moment for reader in self._reading)

    async def ended(self) -> None:
        """Wait until the log is closed."""
        await self.log.ended()

    def reader_came(self, reader: Reader) -> None:
        """Add a reader. It replaces an older one of the same frame: two would double every word on the screen."""
        for older in self._reading:
            if reader.frame_id is not None and older.frame_id == reader.frame_id:
                older.is_gone = True
                self.log.wake()
        self._reading.add(reader)
        self.readers += 1

    def reader_left(self, reader: Reader) -> None:
        """Remove a reader."""
        self._reading.discard(reader)
        if not self._reading:
            self.last_reader_left()

    def release_readers(self) -> None:
        """Let this object be freed although clients have not yet read the end of the log."""
        for reader in self._reading:
            reader.turn = None

    def snapshot(self, *, has_calls: bool = False) -> list[ThreadStreamEvent]:
        """Return the events that bring a new reader up to date with the log.

        `has_calls`: the reader's page already has the client tool calls; leave them out.
        """
        finished = self.items.finished.values()
        visible = without_calls(finished) if has_calls else finished
        removed_ids = self.items.removed_ids
        return snapshot(visible, self.open_items(), options=self._options, is_running=True, removed_ids=removed_ids)

    def open_items(self) -> list[ThreadItem]:
        """Return copies of the open items as they are now, without hidden ones.

        Client tool calls are left out too: the page runs the tool each time it gets the call, so it is sent once, when
        it is saved.
        """
        visible = (item for item in self.items.open if not self.is_hidden(item.id))
        return [deep_copy(item) for item in visible if not isinstance(item, ClientToolCallItem)]

    def open_items_by_id(self) -> dict[str, ThreadItem]:
        """Return those of `open_items` that are not empty, by id."""
        return {item.id: item for item in self.open_items() if not is_empty(item)}

    def items_so_far(self) -> dict[str, ThreadItem]:
        """Return the finished items and those of `open_items_by_id`, by id."""
        return self.items.finished | self.open_items_by_id()

    def added_events(self) -> list[ThreadItemAddedEvent]:
        """Return the open items as events, for a catch-up."""
        return [ThreadItemAddedEvent(item=item) for item in self.open_items()]
