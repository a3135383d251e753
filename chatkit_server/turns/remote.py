"""Turns that other workers run: read through the journal, stopped by a signal in their row.

A reader here sees what a reader there sees, a little later."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from itertools import takewhile
from time import monotonic
from typing import TypeVar
from weakref import WeakValueDictionary

from chatkit.store import NotFoundError
from chatkit.types import (
    StreamOptions,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    UserMessageItem,
)

from chatkit_store import Entry, JournalStore, SqlStore, StoreError, TurnRecord, TurnStore

from ..context import RequestContext
from ..errors.failures import failure_of_ended_turn
from ..errors.http import Conflict, to_server_error
from ..events.decode import decode_event
from ..events.snapshot import shown, without_calls
from ..run.server import ChatServer
from .live_turn import LiveTurn, Reader, StopReason
from .turn_log import TurnLog, lasts

logger = logging.getLogger(__name__)


POLL_SECONDS = 0.1
PATIENCE = 30.0
"""Seconds for which the database may fail before the readers are told."""
PAGE_SIZE = 500

T = TypeVar("T")


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
    ) -> None:
        super().__init__(record.id, record.thread_id, record.user_id, options)
        self.log = TurnLog(still_open=self.added_events)
        self._record = record
        self._context = context
        self._store = store
        self._turns = turns
        self._journal = journal
        self._task: asyncio.Task[None] | None = None
        self._has_joined = False
        self._is_cut = False

    async def load(self) -> None:
        """Reads what there is, unless it is read anyway. Raises what the store raises."""
        if self._task is None:
            await self._read()

    def detach(self) -> None:
        """Nothing to do: a turn with a reader at another worker goes on anyway."""

    def reader_came(self, reader: Reader) -> None:
        """With the first one it begins to follow the turn."""
        super().reader_came(reader)
        reader.is_cut = self._is_cut
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"tail of {self.id}")

    def left(self) -> None:
        """Nobody is here to read for. One who found the turn a moment ago, and reads now, makes it go on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

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
            if not self._has_joined:
                await self._patiently(lambda: self._turns.join(self.id, self._context))
                self._has_joined = True
            while await self._patiently(self._read) == "running":  # noqa: ASYNC110 - another process does the work
                await asyncio.sleep(POLL_SECONDS)
            await self._patiently(self._tell_end)
        except NotFoundError:  # the thread was deleted
            pass
        except Exception as error:
            self.log.append(to_server_error(error).event(self._context.request_id))
        self.log.close()

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Does it again for a while where the database fails: a passing fault is nothing for the readers."""
        now = asyncio.get_running_loop().time
        deadline = now() + PATIENCE
        while True:
            try:
                return await step()
            except NotFoundError:
                raise
            except StoreError:
                if now() > deadline:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def _read(self) -> str:
        excerpt = await self._journal.read(self.id, self.log.last, self._context)
        for entry in excerpt.entries:
            if entry.seq > self.log.last:  # two may read at once
                self._take(entry)
        return excerpt.status

    def _take(self, entry: Entry) -> None:
        with contextlib.suppress(ValueError, LookupError, AttributeError):  # an event that a newer version wrote
            event = decode_event(entry.payload)
            self.items.apply(event)
            self.log.append_encoded(entry.payload.encode(), is_lasting=lasts(event), number=entry.seq)

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
        changed = await self._store.load_changed_items(self.thread_id, self.id, self._context)
        for item in without_calls(changed):  # such a call was answered, by whatever clock
            if self.items.finished.get(item.id) != item:
                self.log.append(ThreadItemReplacedEvent(item=item))
        error = failure_of_ended_turn(record.status, record.error_code)
        if error is not None:
            self.log.append(error.event(record.request_id))

    async def _saved_items(self) -> list[ThreadItem]:
        """What the turn's client sees at its end: its items, or the old answer that a failed retry brings back."""
        items = await self._store.load_turn_items(self.thread_id, self.id, self._context)
        message_id = self._record.user_item_id
        if message_id is None or any(not isinstance(item, UserMessageItem) for item in items):
            return items
        page = await self._store.load_visible_items(self.thread_id, message_id, PAGE_SIZE, "asc", self._context)
        return list(takewhile(lambda item: not isinstance(item, UserMessageItem), page.data))


LOOK_SECONDS = 0.05
"""Between two looks whether a worker has stopped its turn."""


class Elsewhere:
    """Every method is for turns that this worker does not run."""

    def __init__(
        self,
        store: SqlStore[RequestContext],
        turns: TurnStore,
        journal: JournalStore,
        server: ChatServer,
        patience: float,
    ) -> None:
        """`patience`: the seconds that a worker gets to stop a turn, or the others to notice that it is dead."""
        self._store = store
        self._turns = turns
        self._journal = journal
        self._server = server
        self._patience = patience
        self._tails: WeakValueDictionary[str, Tail] = WeakValueDictionary()  # those that somebody reads
        self._are_cut = False

    async def open(self, record: TurnRecord, context: RequestContext) -> Tail:
        """The turn as its journal has it now; one `Tail` for all who read it here. Raises what the store raises."""
        tail = self._tails.get(record.id)
        if tail is None or tail.log.closed:
            thread = await self._store.load_thread(record.thread_id, context)
            options = self._server.get_stream_options(thread, context)
            made = Tail(record, context, options, self._store, self._turns, self._journal)
            tail = self._tails.setdefault(record.id, made)  # somebody may have been faster
            if tail.log.closed:
                tail = self._tails[record.id] = made
        await tail.load()
        if self._are_cut:
            tail.cut()
        return tail

    def cut(self) -> None:
        """Breaks off all that is read here, from now on as well: the turns go on, this worker does not."""
        self._are_cut = True
        for tail in list(self._tails.values()):
            tail.cut()

    async def stop(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Waits until the worker that runs the turn has ended it, or another one for it where it is dead.

        Raises `Conflict` where nobody does.
        """
        await self._turns.ask_to_stop(turn_id, reason, context)
        deadline = monotonic() + self._patience
        while (record := await self._turns.load(turn_id, context)).status == "running":
            if monotonic() > deadline:
                raise Conflict("The answer could not be stopped. Please try again in a moment.")
            await asyncio.sleep(LOOK_SECONDS)
        return record
