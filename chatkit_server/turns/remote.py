"""Turns that another worker runs: read them through the journal, stop them by a signal in their row.

A reader here sees the same as a reader at the worker that runs the turn, a little later.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
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
from chatkit_store.journal import Excerpt

from ..context import RequestContext
from ..errors.failures import failure_of_ended_turn
from ..errors.http import Conflict
from ..errors.mapping import to_server_error
from ..events.decode import decode_event
from ..events.snapshot import visible_items, without_calls
from ..interactions.notice_card import is_notice
from ..loops import backoff
from ..run.server import ChatServer
from .journal_feed import JournalFeed
from .late_items import done_loader
from .live_turn import LiveTurn, Reader, StopReason
from .turn_changes import TurnChanges, Watch
from .turn_log import TurnLog, belongs_in_catch_up

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.1
"""Pause between two tries while the database fails."""
STOP_POLL_SECONDS = 0.05
"""Pause between two checks whether a worker has stopped its turn, unless a notification says so."""
REACTION_SECONDS = 0.3
"""How soon a worker that listens ends a turn that was stopped."""
LONGEST_STOP_POLL = 1.0
"""Limit of that pause where notifications arrive; it doubles, since a notification may be lost."""
OUTAGE_SECONDS = 30.0
"""How long the database may fail before the readers get an error."""
PAGE_SIZE = 500

T = TypeVar("T")


class RemoteTurns:
    """Open and stop turns that other workers run."""

    def __init__(
        self,
        store: SqlStore[RequestContext],
        turns: TurnStore,
        journal: JournalStore,
        server: ChatServer,
        changes: TurnChanges,
        stop_timeout: float,
    ) -> None:
        """`stop_timeout`: seconds for a worker to stop a turn, or for the others to notice that it is dead."""
        self._store = store
        self._turns = turns
        self._journal = journal
        self._feed = JournalFeed(journal)
        self._server = server
        self._changes = changes
        self._stop_timeout = stop_timeout
        self._opened: WeakValueDictionary[str, RemoteTurn] = WeakValueDictionary()
        """The turns that are in use here, by id."""
        self._are_cut = False

    async def open(self, record: TurnRecord, context: RequestContext) -> "RemoteTurn":
        """Return the turn as its journal has it now; all readers here share one. Raises what the store raises."""
        turn = self._opened.get(record.id)
        if turn is None or turn.log.closed:
            thread = await self._store.load_thread(record.thread_id, context)
            options = self._server.get_stream_options(thread, context)
            sources = RemoteSources(self._store, self._turns, self._journal, self._feed, self._changes)
            new = RemoteTurn(record, context, options, sources)
            turn = self._opened.setdefault(record.id, new)  # another request may have opened it meanwhile
            if turn.log.closed:
                turn = self._opened[record.id] = new
        await turn.load()
        if self._are_cut:
            turn.cut()
        return turn

    def cut(self) -> None:
        """Cut all readers here, now and from now on: this worker stops, the turns do not."""
        self._are_cut = True
        for turn in list(self._opened.values()):
            turn.cut()

    async def stop(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord:
        """Ask the turn's worker to stop it, and wait until it has, or until another worker has recovered the turn.

        Raises `Conflict` if that does not happen within `stop_timeout`.
        """
        record = await self._stop(turn_id, reason, context, self._stop_timeout)
        if record.status == "running":
            raise Conflict("The answer could not be stopped. Please try again in a moment.")
        return record

    async def stop_at_once(self, turn_id: str, reason: StopReason, context: RequestContext) -> TurnRecord | None:
        """Do as `stop`, if notifications reach the turn's worker; return None if it does not react at once.

        It may be dead, or be one that does not listen.
        """
        if not self._changes.is_listening:
            return None
        record = await self._stop(turn_id, reason, context, REACTION_SECONDS)
        return None if record.status == "running" else record

    async def _stop(self, turn_id: str, reason: StopReason, context: RequestContext, seconds: float) -> TurnRecord:
        deadline = monotonic() + seconds
        pauses = backoff(STOP_POLL_SECONDS, LONGEST_STOP_POLL if self._changes.is_listening else STOP_POLL_SECONDS)
        with self._changes.watching(turn_id) as watch:
            await self._turns.ask_to_stop(turn_id, reason, context)
            while True:
                watch.expect()
                record = await self._turns.load(turn_id, context)
                if record.status != "running" or monotonic() > deadline:
                    return record
                await watch.changed(next(pauses))


@dataclass(frozen=True)
class RemoteSources:
    """What remote turns are read from."""

    store: SqlStore[RequestContext]
    turns: TurnStore
    journal: JournalStore
    feed: JournalFeed
    changes: TurnChanges


class RemoteTurn(LiveTurn):
    """A turn of another worker. Its journal is followed only while the turn has readers here."""

    def __init__(
        self, record: TurnRecord, context: RequestContext, options: StreamOptions, sources: RemoteSources
    ) -> None:
        super().__init__(record.id, record.thread_id, record.owner, options)
        self.log = TurnLog(still_open=self.added_events)
        self._record = record
        self._context = context
        self._sources = sources
        self._store = sources.store
        self._turns = sources.turns
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_joined = False
        self._is_counted = False
        self._is_cut = False

    async def load(self) -> None:
        """Read the journal up to now, unless it is being followed. Raises what the store raises."""
        if self._task is None:  # checks the owner
            self._append_all(await self._sources.journal.read(self.id, self.log.last, self._context))

    def detach(self) -> None:
        """Do nothing: a turn with a reader at another worker keeps running without readers at its own."""

    def reader_came(self, reader: Reader) -> None:
        """Add a reader; the first one starts to follow the journal."""
        super().reader_came(reader)
        reader.is_cut = self._is_cut
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"readers of remote turn {self.id}")

    def last_reader_left(self) -> None:
        """Stop following. A reader that still holds this object may come and start it again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def cut(self) -> None:
        """Have the readers break off and re-attach at another worker: this one stops, the turn does not."""
        self._is_cut = True
        for reader in self._reading:
            reader.is_cut = True
        self.log.wake()

    def was_read(self) -> None:
        """Have the reader counted."""
        if self._watch is not None:
            self._watch.wake()

    def is_hidden(self, item_id: str) -> bool:
        """Return False: the journal holds only what clients may see."""
        return False

    async def saved_ids(self) -> Collection[str]:
        """As `LiveTurn.saved_ids`, read from the database: another worker writes the rows."""
        return await self._store.saved_ids(self.thread_id, [item.id for item in self.items.open], self._context)

    async def _follow(self) -> None:
        try:
            if not self._has_joined:
                await self._retry_in_outage(lambda: self._turns.join(self.id, self._context))
                self._has_joined = True
            with self._sources.changes.watching(self.id) as self._watch:
                await self._follow_journal(self._watch)
            await self._count_reader()
            await self._retry_in_outage(self._append_end)
        except NotFoundError:  # the thread was deleted
            pass
        except Exception as error:
            self.log.append(to_server_error(error).event(self._context.request_id))
        self.log.close(done_loader(self._store, self.thread_id, self._context))

    async def _follow_journal(self, watch: Watch) -> None:
        """Append what the journal gets until the turn has ended."""
        while True:
            watch.expect()
            excerpt = await self._retry_in_outage(lambda: self._sources.feed.read(self.id, self.log.last))
            self._append_all(excerpt)
            if excerpt.entries or excerpt.status != "running":
                watch.found_news()
            if excerpt.status != "running":
                return
            if self.is_read:
                await self._count_reader()
            await watch.changed()

    async def _count_reader(self) -> None:
        if not self._is_counted:
            await self._retry_in_outage(lambda: self._turns.count_reader(self.id, self._context))
            self._is_counted = True

    async def _retry_in_outage(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat `step` for up to `OUTAGE_SECONDS` while the database fails: readers should survive a short outage."""
        now = asyncio.get_running_loop().time
        deadline = now() + OUTAGE_SECONDS
        while True:
            try:
                return await step()
            except NotFoundError:
                raise
            except StoreError:
                if now() > deadline:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    def _append_all(self, excerpt: Excerpt) -> None:
        """Append what is new in the journal."""
        for entry in excerpt.entries:
            if entry.seq > self.log.last:  # `load` and `_follow` may read at the same time
                self._append(entry)

    def _append(self, entry: Entry) -> None:
        with contextlib.suppress(ValueError, LookupError, AttributeError):  # an event that a newer version wrote
            event = decode_event(entry.payload)
            self.items.apply(event)
            self.log.append_encoded(entry.payload.encode(), is_lasting=belongs_in_catch_up(event), number=entry.seq)

    async def _append_end(self) -> None:
        """Append the turn's last events. They are not in the journal but follow from the rows: the items as saved, and
        how the turn ended."""
        record = await self._turns.load(self.id, self._context)
        await self._append_removed()
        for item in visible_items(await self._saved_items()):
            if self.items.finished.get(item.id) != item:
                self.log.append(ThreadItemDoneEvent(item=item))
        changed = await self._store.load_changed_items(self.thread_id, self.id, self._context)
        for item in without_calls(changed):  # an answered call must not run again
            if self.items.finished.get(item.id) != item:
                self.log.append(ThreadItemReplacedEvent(item=item))
        error = failure_of_ended_turn(record.status, record.error_code)
        if error is not None:
            self.log.append(error.event(record.request_id))

    async def _append_removed(self) -> None:
        """Remove the items that readers have seen and that were not kept."""
        sent_ids = [*self.items.finished, *(item.id for item in self.items.open)]
        saved_ids = await self._store.saved_ids(self.thread_id, sent_ids, self._context)
        for item_id in sent_ids:
            if item_id not in saved_ids:
                self.log.append(ThreadItemRemovedEvent(item_id=item_id))

    async def _saved_items(self) -> list[ThreadItem]:
        """Return what the turn's client sees at its end: its items, or the old answer that a failed retry restores."""
        items = await self._store.load_turn_items(self.thread_id, self.id, self._context)
        message_id = self._record.user_item_id
        if message_id is None or any(not isinstance(item, UserMessageItem) for item in items):
            return items
        answer: list[ThreadItem] = []
        after: str | None = message_id
        while after is not None:  # usually once; a page has a limit in bytes
            page = await self._store.load_visible_items(self.thread_id, after, PAGE_SIZE, "asc", self._context)
            rest = list(takewhile(lambda item: not isinstance(item, UserMessageItem), page.data))
            answer += [item for item in rest if not is_notice(item)]  # readers get the error itself
            after = page.after if len(rest) == len(page.data) else None
        return answer
