"""The turns of other workers: read through their journal, stopped by a signal in their row."""

import asyncio
from time import monotonic
from weakref import WeakValueDictionary

from store import JournalStore, SqlStore, TurnRecord, TurnStore

from ..context import RequestContext
from ..errors import Conflict
from ..server import ChatServer
from .live import StopReason
from .tail import Tail

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
