"""Build the model input of the next turn: the thread from its newest exchange back, within a budget of tokens."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import cast

from chatkit.agents import ThreadItemConverter
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from chatkit_store import HistoryCursor, HistoryPage, HistoryWindow, SqlStore
from chatkit_store.owner import owner_of
from chatkit_store.text import plain_text

from ..context import RequestContext
from ..models.client.packed_items import is_stand_in, unpacked
from ..models.client.wire_items import FittedItems
from .call_pairs import InputItem, pair_calls
from .converter import is_ours
from .exchange import END, Exchange, PastTurns
from .first_message import FirstMessage
from .memory_cache import Chain, MemoryCache, StoredInput, joined_items, packed_items
from .notes import join_notes, notes_of
from .thread_reading import Input, Reading, Start, agent_of, cut

PAGE_SIZE = 200
"""Items per query; nearly every thread fits on the first page."""


class Memory:
    """The history of one thread. Create it with `Memory.load`, once per turn."""

    def __init__(
        self,
        store: SqlStore[RequestContext],
        thread_id: str,
        context: RequestContext,
        cache: MemoryCache | None = None,
    ) -> None:
        self._store = store
        self._thread_id = thread_id
        self._context = context
        self._cache = MemoryCache(0) if cache is None else cache
        self._key = (*owner_of(context), thread_id)
        self._start = Start(HistoryPage([], [], None), PastTurns(), None)
        self._is_answer_left_out = False

    @classmethod
    async def load(
        cls,
        store: SqlStore[RequestContext],
        thread: ThreadMetadata,
        context: RequestContext,
        cache: MemoryCache | None = None,
    ) -> "Memory":
        """Load the newest page, or what is newer than the `cache`.

        Raises `chatkit.store.NotFoundError` for another user's thread.
        """
        memory = cls(store, thread.id, context, cache)
        memory._start = await memory._begin(memory._cache.latest(memory._key))
        return memory

    @classmethod
    def of_first_message(
        cls, first: FirstMessage, store: SqlStore[RequestContext], context: RequestContext, cache: MemoryCache
    ) -> "Memory":
        """Return the history of a new thread."""
        memory, past, page = cls(store, first.message.thread_id, context, cache), PastTurns(), first.page()
        past.add(page.turns)
        memory._start = Start(page, past, None)
        return memory

    def leave_out_answer(self) -> None:
        """Leave out everything after the user's last message, as it was when the message arrived."""
        self._is_answer_left_out = True
        self._start = self._without_answer(self._start)

    @property
    def recent_items(self) -> list[ThreadItem]:
        """The newest items of the thread including hidden ones, oldest first: at least the newest exchange, or as many
        of its items as there are on a page."""
        return [row.item for row in reversed(self._start.page.items)]

    @property
    def is_continued(self) -> bool:
        """Whether the thread has a cached part, and so at least `memory_cache.SHORTEST` earlier messages."""
        return self._start.chain is not None

    @property
    def user_text(self) -> str:
        """The text of the user's last message, with what it quotes; empty if there is none."""
        message = next((item for item in reversed(self.recent_items) if isinstance(item, UserMessageItem)), None)
        return "" if message is None else plain_text(message)

    @property
    def last_agent(self) -> str | None:
        """The name of the agent that answered last, from the transcripts of a page; None if they name none."""
        page, past, chain = self._start.page, self._start.past, self._start.chain
        complete, partial = cut(page, Exchange([], END), past)
        for exchange in [*complete, partial] if partial.rows else complete:
            if (name := agent_of(exchange.parts(past))) is not None:
                return name
        row_count = len(page.items)
        for earlier in () if chain is None else chain.exchanges:
            if row_count >= PAGE_SIZE:
                break
            if earlier.agent is not None:
                return earlier.agent
            row_count += earlier.row_count
        return None

    async def model_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> list[InputItem]:
        """Return the thread as input for a model whose `Models.origin` is `origin`, oldest first.

        `budget` is in tokens. The newest exchange is always included. An older one that does not fit is reduced to its
        visible items; if these do not fit either, it and all older ones are left out.
        """
        return unpacked(await self.packed_input(converter, budget=budget, origin=origin))

    async def packed_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> list[InputItem]:
        """Return `model_input`, perhaps with stand-ins for earlier messages (`models.client.packed_items`)."""
        reading = await self._fitting(converter, budget, origin)
        items = _joined(reading.inputs[::-1], is_unique=origin is not None, can_pack=reading.are_fitted)
        if not reading.are_fitted:
            return items
        return FittedItems(items, are_messages=reading.are_messages, is_packed=any(map(is_stand_in, items)))

    async def split_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> tuple[list[InputItem], list[InputItem]]:
        """Return the same as `model_input` in two parts: the earlier exchanges, and the newest, which begins with the
        user's message. It may be called again for another origin.
        """
        newest, *earlier = (await self._fitting(converter, budget, origin)).inputs or [[]]
        is_unique = origin is not None
        return _joined(earlier[::-1], is_unique=is_unique), _joined([newest], is_unique=is_unique)

    async def _fitting(self, converter: ThreadItemConverter, budget: int, origin: str | None) -> "Reading":
        """Read the exchanges that fit into the budget."""
        start, is_kept = self._start, self._cache.limit > 0 and is_ours(converter)
        if start.chain is not None and (not is_kept or start.chain.origin != origin):
            chain = self._cache.find(self._key, origin) if is_kept else None
            start = self._without_answer(await self._begin(chain))
        reading = Reading(self._load_page, start, converter, origin, is_kept=is_kept)
        if not await reading.fit(budget):  # the chain is outdated, or the budget has room for more than it has
            start = self._without_answer(await self._begin(None))
            reading = Reading(self._load_page, start, converter, origin, is_kept=is_kept)
            await reading.fit(budget)
        if (chain := reading.chain()) is not None:
            self._cache.put(self._key, chain)
        return reading

    async def _begin(self, chain: Chain | None) -> Start:
        """Read what is newer than the chain; if the rows of the chain have changed, the newest page."""
        past = PastTurns()
        if chain is not None:
            page = await self._load_page(past, None, chain.window)
            if page.continues and _follows(page, past, chain):
                return Start(page, past, chain)
            self._cache.drop(self._key, chain.origin)
            if page.before is not None:
                return Start(page, past, None)
            past = PastTurns()
        return Start(await self._load_page(past, None), past, None)

    def _without_answer(self, start: Start) -> Start:
        if not self._is_answer_left_out:
            return start
        rows = start.page.items
        position = next((index for index, row in enumerate(rows) if isinstance(row.item, UserMessageItem)), 0)
        return replace(start, page=replace(start.page, items=rows[position:]))

    async def _load_page(
        self, past: PastTurns, before: HistoryCursor | None, after: HistoryWindow | None = None
    ) -> HistoryPage:
        """Load a page and add its turns to `past`."""
        page = await self._store.load_history(self._thread_id, before, PAGE_SIZE, self._context, after)
        past.add(page.turns)
        return page


def _follows(page: HistoryPage, past: PastTurns, chain: Chain) -> bool:
    """Return whether the page begins with the exchange that followed the chain."""
    complete, partial = cut(page, Exchange([], END), past)
    if partial.rows or not complete:
        return False
    oldest = complete[-1]
    return past.start_of(oldest.rows[0]) == chain.end and oldest.start(past) >= chain.window.until


def _joined(exchanges: Sequence[Input], *, is_unique: bool, can_pack: bool = False) -> list[InputItem]:
    """Return exchanges, oldest first, as one history; with `can_pack`, of closed ones only stand-ins."""
    items: list[InputItem] = []
    notes: list[InputItem] = []
    start = 0
    # There may be a thousand, nearly all of them closed: no call for each.
    kinds = [can_pack and entry.is_closed if isinstance(entry, StoredInput) else None for entry in exchanges]
    for is_closed, group in groupby(kinds):
        of_kind = exchanges[start : start + len(list(group))]
        start += len(of_kind)
        if is_closed is None:
            for exchange in cast(Sequence[list[InputItem]], of_kind):
                items += exchange
                notes += notes_of(exchange)
            continue
        stored = cast(Sequence[StoredInput], of_kind)
        packed = stored if is_closed else []
        if packed and items and items[-1].get("role") == "user":  # the first message may be joined to it
            packed = stored[1:]
        more, more_notes = joined_items(stored[: len(stored) - len(packed)])
        items += more
        notes += more_notes
        if packed:
            items.append(packed_items(packed).stand_in())
    return join_notes(pair_calls(items, is_unique=is_unique), notes)
