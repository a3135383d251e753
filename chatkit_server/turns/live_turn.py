"""A running turn as its readers know it, whether this worker runs it (`turn.py`) or another one does (`tail.py`)."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from chatkit.types import ClientToolCallItem, StreamOptions, ThreadItem, ThreadItemAddedEvent, ThreadStreamEvent

from ..events.fold import TurnItems, is_empty
from ..events.snapshot import snapshot, without_calls
from .turn_log import TurnLog

StopReason = Literal["user", "disconnected", "superseded", "deleted", "shutdown", "lost"]
"""Why a turn ends before its agent does; `lost`: another worker has closed it, having taken this one for dead."""


@dataclass(eq=False)
class Reader:
    """A connection that reads a turn; `gone` when it should read no more, `is_cut` when it should break off, so that
    its client comes back at another worker."""

    frame_id: str | None
    gone: bool = False
    is_cut: bool = False


class LiveTurn(ABC):
    """A turn that runs, or ran until a moment ago."""

    log: TurnLog

    def __init__(self, turn_id: str, thread_id: str, user_id: str, options: StreamOptions) -> None:
        self.id = turn_id
        self.thread_id = thread_id
        self.user_id = user_id
        self.items = TurnItems()
        self.readers = 0
        """How many connections have read it here."""
        self._options = options
        self._reading: set[Reader] = set()

    @property
    def first_token_ms(self) -> int | None:
        """How long the first words took, where this worker runs the turn and they have come."""
        return None

    @abstractmethod
    def detach(self) -> None:
        """Lets the turn go on without readers: its client said that it stops explicitly (`x-chatkit-detach: 1`)."""

    @abstractmethod
    def left(self) -> None:
        """The last reader is gone."""

    @abstractmethod
    def is_hidden(self, item_id: str) -> bool:
        """Whether the item is for the model only."""

    @abstractmethod
    async def saved_ids(self) -> Collection[str]:
        """Those of the open items that have a row already."""

    def interrupt_reading(self) -> None:  # noqa: B027 - not abstract: most turns do not care
        """This worker's HTTP server cuts its connections."""

    async def ended(self) -> None:
        """Waits for the end of the log."""
        while not self.log.closed:
            await self.log.changed()

    def reader_came(self, reader: Reader) -> None:
        """A connection reads the log. It takes the place of an older one of the same frame: two at once would double
        every word on its screen."""
        for older in self._reading:
            if reader.frame_id is not None and older.frame_id == reader.frame_id:
                older.gone = True
                self.log.wake()
        self._reading.add(reader)
        self.readers += 1

    def reader_left(self, reader: Reader) -> None:
        """A connection is gone."""
        self._reading.discard(reader)
        if not self._reading:
            self.left()

    def snapshot(self, *, has_calls: bool = False) -> list[ThreadStreamEvent]:
        """What a reader who comes now has to be told before what is still to come. `has_calls`: its page was sent the
        calls of its tools."""
        self.log.flush()  # what is open holds the text that waits there
        finished = self.items.finished.values()
        shown = without_calls(finished) if has_calls else finished
        return snapshot(shown, self.open_items(), options=self._options, is_running=True)

    def open_items(self) -> list[ThreadItem]:
        """Copies of the items that are being written, as far as they are, without hidden ones.

        A call of the page's tools is sent once, when it is saved: each time it runs the tool.
        """
        shown = (item for item in self.items.open if not self.is_hidden(item.id))
        return [item.model_copy(deep=True) for item in shown if not isinstance(item, ClientToolCallItem)]

    def open_texts(self) -> dict[str, ThreadItem]:
        """Those of them that hold something, by id."""
        return {item.id: item for item in self.open_items() if not is_empty(item)}

    def items_so_far(self) -> dict[str, ThreadItem]:
        """All that the turn shows now, by id, without what is still empty."""
        return self.items.finished | self.open_texts()

    def added_events(self) -> list[ThreadItemAddedEvent]:
        """What tells of the open items to a reader that lags too far behind."""
        return [ThreadItemAddedEvent(item=item) for item in self.open_items()]
