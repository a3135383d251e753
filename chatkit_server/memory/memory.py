"""Build the model input of the next turn: the thread from its newest exchange back, within a budget of tokens."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chatkit.agents import ThreadItemConverter
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem, UserMessageTextContent

from chatkit_store import HistoryCursor, HistoryPage, HistoryWindow, PastTurn, SqlStore
from chatkit_store.owner import owner_of
from chatkit_store.text import plain_text

from ..context import RequestContext
from ..models.client.wire_items import FittedItems, is_fitted
from .call_pairs import InputItem, pair_calls
from .converter import depends_on_thread_only, is_ours
from .exchange import END, Exchange, PastTurns, TurnPart
from .first_message import FirstMessage
from .memory_cache import SHORTEST, Chain, MemoryCache, PastExchange, StoredInput
from .notes import join_notes, notes_of, with_answer
from .replay import replay_turn
from .token_estimate import count_tokens
from .transcript import Json

PAGE_SIZE = 200
"""Items per query; nearly every thread fits on the first page."""
PROVIDER_MEMORY = timedelta(days=29)
"""How long ids of the provider are used: OpenAI stores responses for 30 days."""
SLICE_SECONDS = 0.004
"""After how long a conversion lets the other tasks of the event loop run."""


@dataclass(frozen=True)
class Start:
    """What a model input begins with: the newest page, its turns, and the chain of exchanges before it, if any."""

    page: HistoryPage
    past: PastTurns
    chain: Chain | None


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
        complete, partial = _cut(page, Exchange([], END), past)
        for exchange in [*complete, partial] if partial.rows else complete:
            if (name := _agent_of(exchange.parts(past))) is not None:
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
        exchanges, are_fitted = await self._fitting(converter, budget, origin)
        items = _joined(exchanges[::-1], is_unique=origin is not None)
        return FittedItems(items) if are_fitted else items

    async def split_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> tuple[list[InputItem], list[InputItem]]:
        """Return the same as `model_input` in two parts: the earlier exchanges, and the newest, which begins with the
        user's message. It may be called again for another origin.
        """
        exchanges, _ = await self._fitting(converter, budget, origin)
        newest, *earlier = exchanges or [[]]
        is_unique = origin is not None
        return _joined(earlier[::-1], is_unique=is_unique), _joined([newest], is_unique=is_unique)

    async def _fitting(
        self, converter: ThreadItemConverter, budget: int, origin: str | None
    ) -> tuple[list[list[InputItem]], bool]:
        """Return the exchanges that fit into the budget, newest first, and whether all their items are fitted."""
        start, is_kept = self._start, self._cache.limit > 0 and is_ours(converter)
        if start.chain is not None and (not is_kept or start.chain.origin != origin):
            chain = self._cache.find(self._key, origin) if is_kept else None
            start = self._without_answer(await self._begin(chain))
        reading = _Reading(self, start, converter, origin, is_kept=is_kept)
        exchanges = await reading.fit(budget)
        if exchanges is None:  # the budget has room for more than the chain has
            start = self._without_answer(await self._begin(None))
            reading = _Reading(self, start, converter, origin, is_kept=is_kept)
            exchanges = await reading.fit(budget)
            assert exchanges is not None
        if (chain := reading.chain()) is not None:
            self._cache.put(self._key, chain)
        return exchanges, reading.are_fitted

    async def _begin(self, chain: Chain | None) -> Start:
        """Read what is newer than the chain; if the chain is no longer true, the newest page."""
        past = PastTurns()
        if chain is not None:
            page = await self.load_page(past, None, chain.window)
            if page.continues and _follows(page, past, chain):
                return Start(page, past, chain)
            self._cache.drop(self._key, chain.origin)
            if page.before is not None:
                return Start(page, past, None)
            past = PastTurns()
        return Start(await self.load_page(past, None), past, None)

    def _without_answer(self, start: Start) -> Start:
        if not self._is_answer_left_out:
            return start
        rows = start.page.items
        position = next((index for index, row in enumerate(rows) if isinstance(row.item, UserMessageItem)), 0)
        return replace(start, page=replace(start.page, items=rows[position:]))

    async def load_page(
        self, past: PastTurns, before: HistoryCursor | None, after: HistoryWindow | None = None
    ) -> HistoryPage:
        """Load a page and add its turns to `past`."""
        page = await self._store.load_history(self._thread_id, before, PAGE_SIZE, self._context, after)
        past.add(page.turns)
        return page


class _Reading:
    """Reads a thread from its newest exchange back until the budget is used up."""

    def __init__(
        self, memory: Memory, start: Start, converter: ThreadItemConverter, origin: str | None, *, is_kept: bool
    ) -> None:
        self._memory = memory
        self._start = start
        self._converter = converter
        self._origin = origin
        self._windows = [start.page.window] if start.page.window is not None else []
        self._is_kept = is_kept and bool(self._windows)
        self._is_complete = False
        self._end = END
        self._replayed: set[str] = set()
        self._earlier: list[PastExchange] = []
        self.are_fitted = is_kept
        """Whether the items may be in `FittedItems`; it is not asked if nothing is kept."""
        self._slice_end = time.perf_counter() + SLICE_SECONDS

    async def fit(self, budget: int) -> list[list[InputItem]] | None:
        """Return the exchanges that fit into the budget, newest first; None if the start's chain ends too early."""
        chain = self._start.chain
        inputs: list[list[InputItem]] = []
        if chain is not None and not chain.is_valid_at(datetime.now(UTC)):
            return None
        async for exchange in self._exchanges():
            if not inputs:
                items = await self._replay(exchange.parts(self._start.past))
                budget -= count_tokens(items)
                inputs.append(items)
                self.are_fitted = self.are_fitted and is_fitted(items)
                self._note_newest(exchange)
                continue
            earlier = await self._remember(exchange)
            items, tokens = await self._input_of(earlier, budget)
            budget -= tokens
            self._earlier.append(earlier)
            if budget < 0:
                return inputs
            inputs.append(items)
            await self._rest()
        for earlier in () if chain is None else chain.exchanges:
            if not earlier.replayed.isdisjoint(self._replayed):
                return None
            items, tokens = await self._input_of(earlier, budget)
            budget -= tokens
            self._earlier.append(earlier)
            if budget < 0:
                self._windows += chain.windows if chain is not None else ()
                return inputs
            inputs.append(items)
        if chain is not None:
            self._windows += chain.windows
        self._is_complete = chain is None or chain.is_complete
        return inputs if self._is_complete else None

    def chain(self) -> Chain | None:
        """Return what the next turn may build on, after `fit`; None if there is nothing, or it may not."""
        if not self._is_kept or len(self._earlier) < SHORTEST:
            return None
        return Chain.of(self._origin, self._earlier, self._windows, self._end, is_complete=self._is_complete)

    def _note_newest(self, exchange: Exchange) -> None:
        """Keep nothing if the thread's last message cannot be read: the exchanges end elsewhere than the window."""
        first = exchange.rows[0]
        self._end = self._start.past.start_of(first)
        self._is_kept = self._is_kept and self._windows[0].high == first.position

    async def _exchanges(self) -> AsyncIterator[Exchange]:
        """Yield the exchanges after the chain, newest first."""
        page, past, partial = self._start.page, self._start.past, Exchange([], END)
        while True:
            complete, partial = _cut(page, partial, past)
            for exchange in complete:
                yield exchange
            if page.before is None:
                break
            page = await self._memory.load_page(past, page.before)
            if page.window is not None:
                self._windows.append(page.window)
        if partial.rows:
            yield partial

    async def _remember(self, exchange: Exchange) -> PastExchange:
        """Return the exchange, converted if that is for good."""
        parts = tuple(exchange.parts(self._start.past))
        turns = [part.turn for part in parts if part.turn is not None]
        replayed = frozenset(turn.id for turn in turns if _entries_of(turn) is not None)
        if not replayed.isdisjoint(self._replayed):  # a turn with parts in two exchanges: the newer has its transcript
            self._is_kept = False
        starts = [turn.started_at for turn in turns]
        expiries = [turn.started_at + PROVIDER_MEMORY for turn in turns if _is_same_model(turn, self._origin)]
        earlier = PastExchange(
            position=exchange.rows[0].position,
            row_count=len(exchange.rows),
            parts=parts,
            agent=_agent_of(parts),
            replayed=replayed,
            period=(min(starts), max(starts)) if starts else None,
            expires_at=min(expiries, default=None),
        )
        if not self._is_kept or not all(depends_on_thread_only(item) for part in parts for item in part.items):
            return earlier.measured() if self._is_kept else earlier
        before = set(self._replayed)
        whole = _stored(await self._replay(parts))
        self._replayed = before
        visible = _stored(await self._visible(parts)) if any(turn.transcript for turn in turns) else whole
        if whole is not None and visible is not None:
            earlier = replace(earlier, parts=(), whole=whole, visible=None if visible == whole else visible)
        return earlier.measured()

    async def _input_of(self, earlier: PastExchange, budget: int) -> tuple[list[InputItem], int]:
        """Return the input of an earlier exchange, and its tokens: as a whole, or else only its visible items."""
        if earlier.whole is not None:
            self._replayed |= earlier.replayed
            form = earlier.whole if earlier.whole.tokens <= budget else earlier.visible or earlier.whole
            if form.tokens > budget:
                return [], form.tokens
            self.are_fitted = self.are_fitted and form.is_fitted
            return form.items(), form.tokens
        items = await self._replay(earlier.parts)
        tokens = count_tokens(items)
        if tokens > budget:
            items = await self._visible(earlier.parts)
            tokens = count_tokens(items)
        self.are_fitted = self.are_fitted and is_fitted(items)
        return with_answer(items), tokens

    async def _replay(self, parts: Sequence[TurnPart]) -> list[InputItem]:
        items: list[InputItem] = []
        for part in parts:
            entries, read = self._take_entries(part.turn), _as_read(part)
            if part.turn is None or entries is None:
                items += await _convert(read, self._converter)
                continue
            is_same_model = _is_same_model(part.turn, self._origin)
            items += await replay_turn(read, entries, self._converter, is_same_model=is_same_model)
        return items

    async def _visible(self, parts: Sequence[TurnPart]) -> list[InputItem]:
        return await _convert([item for part in parts for item in _as_read(part)], self._converter)

    def _take_entries(self, turn: PastTurn | None) -> list[Json] | None:
        """Return the entries of the turn's transcript the first time, then None: a turn may have several parts."""
        entries = None if turn is None or turn.id in self._replayed else _entries_of(turn)
        if turn is not None and turn.transcript:
            self._replayed.add(turn.id)
        return entries

    async def _rest(self) -> None:
        """Let other tasks of the event loop run now and then."""
        if time.perf_counter() > self._slice_end:
            await asyncio.sleep(0)
            self._slice_end = time.perf_counter() + SLICE_SECONDS


def _follows(page: HistoryPage, past: PastTurns, chain: Chain) -> bool:
    """Return whether the page begins with the exchange that followed the chain."""
    complete, partial = _cut(page, Exchange([], END), past)
    if partial.rows or not complete:
        return False
    oldest = complete[-1]
    return past.start_of(oldest.rows[0]) == chain.end and oldest.start(past) >= chain.window.until


def _cut(page: HistoryPage, partial: Exchange, past: PastTurns) -> tuple[list[Exchange], Exchange]:
    """Return the exchanges that begin on the page, newest first, and the end of one that begins on an older page.

    `partial` is what the newer page returned as the latter.
    """
    complete: list[Exchange] = []
    for row in page.items:
        partial.rows.insert(0, row)
        if isinstance(row.item, UserMessageItem):
            complete.append(partial)
            partial = Exchange([], past.start_of(row))
    return complete, partial


def _agent_of(parts: Sequence[TurnPart]) -> str | None:
    """Return the last agent that the transcripts of the parts name."""
    for part in reversed(parts):
        if part.turn is not None and part.turn.transcript and part.turn.transcript.get("agent"):
            name: str = part.turn.transcript["agent"]
            return name
    return None


def _entries_of(turn: PastTurn) -> list[Json] | None:
    entries: list[Json] | None = turn.transcript.get("entries") if turn.transcript else None
    return entries


def _stored(items: list[InputItem]) -> StoredInput | None:
    return StoredInput.of(with_answer(items), count_tokens(items))


def _joined(exchanges: Sequence[list[InputItem]], *, is_unique: bool) -> list[InputItem]:
    """Return exchanges, oldest first, as one history."""
    history = pair_calls([item for items in exchanges for item in items], is_unique=is_unique)
    return join_notes(history, [note for items in exchanges for note in notes_of(items)])


def _is_same_model(turn: PastTurn, origin: str | None) -> bool:
    is_recent = datetime.now(UTC) - turn.started_at < PROVIDER_MEMORY
    return is_recent and origin is not None and bool(turn.transcript) and turn.transcript.get("origin") == origin


def _as_read(part: TurnPart) -> list[ThreadItem]:
    """Return the items, with the user's message as the turn's agents got it: its author may have masked names in it."""
    text = part.turn.transcript.get("message") if part.turn is not None and part.turn.transcript else None
    if text is None:
        return part.items
    changes = {"content": [UserMessageTextContent(text=text)], "quoted_text": None}
    return [item.model_copy(update=changes) if isinstance(item, UserMessageItem) else item for item in part.items]


async def _convert(items: Sequence[ThreadItem], converter: ThreadItemConverter) -> list[InputItem]:
    """Convert visible items only, without a transcript."""
    return [entry for item in items for entry in await converter.to_agent_input([item])]
