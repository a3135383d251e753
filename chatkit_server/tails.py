"""The turns of other workers that are read here."""

from store import JournalStore, SqlStore, TurnRecord, TurnStore

from .context import RequestContext
from .server import ChatServer
from .tail import Tail


class Tails:
    """One `Tail` for each such turn, however many read it here."""

    def __init__(
        self, store: SqlStore[RequestContext], turns: TurnStore, journal: JournalStore, server: ChatServer
    ) -> None:
        self._store = store
        self._turns = turns
        self._journal = journal
        self._server = server
        self._read: dict[str, Tail] = {}
        self._are_cut = False

    async def open(self, record: TurnRecord, context: RequestContext) -> Tail:
        """The turn as its journal has it now. Raises what the store raises."""
        known = self._read.get(record.id)
        if known is not None and not known.log.closed:
            return known
        thread = await self._store.load_thread(record.thread_id, context)
        options = self._server.get_stream_options(thread, context)
        tail = Tail(record, context, options, self._store, self._turns, self._journal, self._read)
        await tail.load()
        if self._are_cut:
            tail.cut()
        return tail

    def cut(self) -> None:
        """Breaks off all that is read here, from now on as well: the turns go on, this worker does not."""
        self._are_cut = True
        for tail in list(self._read.values()):
            tail.cut()
