"""Read a thread from its newest exchange back, and convert it until a budget of tokens is used up."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import cast

from chatkit.agents import ThreadItemConverter
from chatkit.types import ThreadItem, UserMessageItem, UserMessageTextContent

from chatkit_store import HistoryCursor, HistoryPage, PastTurn

from ..models.client.wire_items import is_fitted, is_message
from .call_pairs import InputItem
from .converter import depends_on_thread_only
from .exchange import END, Exchange, PastTurns, TurnPart
from .memory_cache import SHORTEST, Chain, PastExchange, StoredInput
from .notes import with_answer
from .replay import replay_turn
from .token_estimate import count_tokens
from .transcript import Json

PROVIDER_MEMORY = timedelta(days=29)
"""How long ids of the provider are used: OpenAI stores responses for 30 days."""
Input = list[InputItem] | StoredInput
"""The input items of one exchange."""
SLICE_SECONDS = 0.004
"""After how long a conversion lets the other tasks of the event loop run."""
_TOKENS, _IS_FITTED, _ARE_MESSAGES = map(attrgetter, ("tokens", "is_fitted", "are_messages"))
LoadPage = Callable[[PastTurns, HistoryCursor], Awaitable[HistoryPage]]
"""Loads the page before a cursor and adds its turns."""


@dataclass(frozen=True)
class Start:
    """What a model input begins with: the newest page, its turns, and the chain of exchanges before it, if any."""

    page: HistoryPage
    past: PastTurns
    chain: Chain | None


class Reading:
    """Reads a thread from its newest exchange back until the budget is used up."""

    def __init__(
        self, load_page: LoadPage, start: Start, converter: ThreadItemConverter, origin: str | None, *, is_kept: bool
    ) -> None:
        self._load_page = load_page
        self._start = start
        self._converter = converter
        self._origin = origin
        self._window = start.page.window
        self._is_kept = is_kept and self._window is not None
        self._is_complete = False
        self._end = END
        self._replayed: set[str] = set()
        self._earlier: list[PastExchange] = []
        self.inputs: list[Input] = []
        """The inputs of the exchanges that fit into the budget, newest first."""
        self.are_fitted = is_kept
        """Whether the items may be in `FittedItems`; it is not asked if nothing is kept."""
        self.are_messages = is_kept
        self._slice_end = time.perf_counter() + SLICE_SECONDS

    async def fit(self, budget: int) -> bool:
        """Read what fits into the budget; return False if the start's chain has expired, or ends too early."""
        chain = self._start.chain
        if chain is not None and not chain.is_valid_at(datetime.now(UTC)):
            return False
        async for exchange in self._exchanges():
            if not self.inputs:
                items = await self._replay(exchange.parts(self._start.past))
                budget -= count_tokens(items)
                self._add(items)
                self._note_newest(exchange)
                continue
            budget = await self._add_earlier(await self._remember(exchange), budget)
            if budget < 0:
                return True
            await self._rest()
        if chain is not None:
            exchanges, budget = self._add_chain(chain.exchanges, budget)
            for earlier in exchanges:
                if not earlier.replayed.isdisjoint(self._replayed):
                    return False
                if earlier.whole is None:
                    budget = await self._add_earlier(earlier, budget)
                else:
                    budget = self._add_stored(earlier, earlier.whole, budget)
                if budget < 0:
                    return True
        self._is_complete = chain is None or chain.is_complete
        return self._is_complete

    def chain(self) -> Chain | None:
        """Return what the next turn may build on, after `fit`; None if there is nothing, or it may not."""
        if self._window is None or not self._is_kept or len(self._earlier) < SHORTEST:
            return None
        return Chain.of(self._origin, self._earlier, self._window, self._end, is_complete=self._is_complete)

    def _note_newest(self, exchange: Exchange) -> None:
        """Keep nothing if the thread's last message cannot be read: the exchanges end elsewhere than the window."""
        first = exchange.rows[0]
        self._end = self._start.past.start_of(first)
        self._is_kept = self._is_kept and self._window is not None and self._window.high == first.position

    async def _exchanges(self) -> AsyncIterator[Exchange]:
        """Yield the exchanges after the chain, newest first."""
        page, past, partial = self._start.page, self._start.past, Exchange([], END)
        while True:
            complete, partial = cut(page, partial, past)
            for exchange in complete:
                yield exchange
            if page.before is None:
                break
            page = await self._load_page(past, page.before)
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
            row_count=len(exchange.rows),
            parts=parts,
            agent=agent_of(parts),
            replayed=replayed,
            last_start=max(starts, default=None),
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

    async def _add_earlier(self, earlier: PastExchange, budget: int) -> int:
        """Add an exchange as a whole, or else only its visible items, and return what is left of the budget; if that is
        negative, it was not added."""
        if earlier.whole is not None:
            return self._add_stored(earlier, earlier.whole, budget)
        self._earlier.append(earlier)
        items = await self._replay(earlier.parts)
        tokens = count_tokens(items)
        if tokens > budget:
            items = await self._visible(earlier.parts)
            tokens = count_tokens(items)
        if tokens <= budget:
            self._add(with_answer(items))
        return budget - tokens

    def _add_chain(self, exchanges: Sequence[PastExchange], budget: int) -> tuple[Sequence[PastExchange], int]:
        """Add the exchanges that fit as a whole, newest first; return the others and what is left of the budget.

        They may be a thousand, so there is no step for each. Adds none if one has to be converted or was replayed.
        """
        replayed = set[str]().union(*[earlier.replayed for earlier in exchanges])
        wholes = [earlier.whole for earlier in exchanges]
        if not all(wholes) or not replayed.isdisjoint(self._replayed):
            return exchanges, budget
        forms = cast(list[StoredInput], wholes)
        count, tokens = len(forms), sum(map(_TOKENS, forms))
        while count and tokens > budget:  # the newest exchange alone may exceed it
            count -= 1
            tokens -= forms[count].tokens
        rest, taken = exchanges[count:], forms[:count]
        self._earlier += exchanges[:count]
        self._replayed |= replayed.difference(*[earlier.replayed for earlier in rest])
        self.inputs += taken
        self.are_fitted &= all(map(_IS_FITTED, taken))
        self.are_messages &= all(map(_ARE_MESSAGES, taken))
        return rest, budget - tokens

    def _add_stored(self, earlier: PastExchange, form: StoredInput, budget: int) -> int:
        self._earlier.append(earlier)
        self._replayed |= earlier.replayed
        if form.tokens > budget and earlier.visible is not None:
            form = earlier.visible
        if form.tokens <= budget:
            self.are_fitted &= form.is_fitted
            self.are_messages &= form.are_messages
            self.inputs.append(form)
        return budget - form.tokens

    def _add(self, items: list[InputItem]) -> None:
        if self.are_fitted:
            self.are_fitted = is_fitted(items)
            self.are_messages &= all(map(is_message, items))
        self.inputs.append(items)

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


def cut(page: HistoryPage, partial: Exchange, past: PastTurns) -> tuple[list[Exchange], Exchange]:
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


def agent_of(parts: Sequence[TurnPart]) -> str | None:
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
