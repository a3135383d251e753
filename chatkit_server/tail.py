"""A turn that another worker runs, followed through the journal: readers here see what readers there see, a little
later."""

import asyncio
import contextlib
import logging
from collections.abc import Collection

from chatkit.store import NotFoundError
from chatkit.types import (
    StreamOptions,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
)

from store import Entry, JournalStore, SqlStore, StoreError, TurnRecord, TurnStore

from .context import RequestContext
from .decoding import decode_event
from .errors import describe
from .failures import error_of_ended
from .live import LiveTurn, Reader
from .snapshot import shown
from .turn_log import TurnLog

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
PATIENCE = 30.0
"""Seconds for which the database may fail before the readers are told."""
PAGE_SIZE = 500


class Tail(LiveTurn):
    """Reads the journal only while somebody reads the turn here."""

    def __init__(
        self,
        record: TurnRecord,
        context: RequestContext,
        options: StreamOptions,
        store: SqlStore[RequestContext],
        turns: TurnStore,
        journal: JournalStore,
        read: "dict[str, Tail]",
    ) -> None:
        """`read` holds the tails that somebody reads, by the turn's id."""
        super().__init__(record.id, record.thread_id, record.user_id, options)
        self.log = TurnLog(still_open=self.added_events)
        self._record = record
        self._context = context
        self._store = store
        self._turns = turns
        self._journal = journal
        self._read_here = read
        self._task: asyncio.Task[None] | None = None
        self._is_cut = False

    async def load(self) -> None:
        """Reads what there is. Raises what the store raises."""
        await self._read()

    def detach(self) -> None:
        """Nothing to do: a turn with a reader at another worker goes on anyway."""

    def reader_came(self, reader: Reader) -> None:
        """With the first one it begins to follow the turn."""
        super().reader_came(reader)
        reader.is_cut = self._is_cut
        self._read_here[self.id] = self
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"tail of {self.id}")

    def left(self) -> None:
        """Nobody is here to read for. One who found the turn a moment ago, and reads now, makes it go on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._read_here.get(self.id) is self:
            del self._read_here[self.id]

    def cut(self) -> None:
        """This worker ends and the turn does not: its readers shall go on elsewhere."""
        self._is_cut = True
        for reader in self._reading:
            reader.is_cut = True
        self.log.wake()

    def is_hidden(self, item_id: str) -> bool:
        """The journal holds what clients were told."""
        return False

    async def saved_ids(self) -> Collection[str]:
        """Asked of the database: this worker has not written them."""
        return await self._store.saved_ids(self.thread_id, [item.id for item in self.items.open], self._context)

    async def _follow(self) -> None:
        try:
            await self._turns.join(self.id, self._context)
            failing_since: float | None = None
            now = asyncio.get_running_loop().time
            while True:
                try:
                    if await self._read() != "running":
                        break
                    failing_since = None
                except StoreError:
                    failing_since = failing_since or now()
                    if now() - failing_since > PATIENCE:
                        raise
                await asyncio.sleep(POLL_SECONDS)
            await self._tell_end()
        except NotFoundError:  # the thread was deleted
            pass
        except Exception as error:
            self.log.append(describe(error, self._context.request_id).event(self._context.request_id))
        self.log.close()

    async def _read(self) -> str:
        excerpt = await self._journal.read(self.id, self.log.last, self._context)
        for entry in excerpt.entries:
            self._take(entry)
        return excerpt.status

    def _take(self, entry: Entry) -> None:
        with contextlib.suppress(ValueError):  # an event that a newer version wrote
            event = decode_event(entry.payload)
            self.items.apply(event)
            is_passing = isinstance(event, ThreadItemUpdatedEvent | ThreadItemAddedEvent)
            self.log.append_encoded(entry.payload.encode(), is_lasting=not is_passing, number=entry.seq)

    async def _tell_end(self) -> None:
        """The end is not in the journal but in the database: items as they were saved, and how the turn ended."""
        record = await self._turns.load(self.id, self._context)
        told = [*self.items.finished, *(item.id for item in self.items.open)]
        kept = await self._store.saved_ids(self.thread_id, told, self._context)
        for item_id in told:
            if item_id not in kept:
                self.log.append(ThreadItemRemovedEvent(item_id=item_id))
        for item in shown(await self._saved_items()):
            if self.items.finished.get(item.id) != item:
                self.log.append(ThreadItemDoneEvent(item=item))
        error = error_of_ended(record.status, record.error_code)
        if error is not None:
            self.log.append(error.event(record.request_id))

    async def _saved_items(self) -> list[ThreadItem]:
        """What the turn's client sees at its end: all behind the user's message, which a failed retry brings back."""
        after = self._record.user_item_id
        if after is None:
            return await self._store.load_turn_items(self.thread_id, self.id, self._context)
        page = await self._store.load_visible_items(self.thread_id, after, PAGE_SIZE, "asc", self._context)
        return page.data
