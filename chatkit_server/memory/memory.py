"""The input of the next turn's model: the thread from its newest exchange back, as far as the budget reaches."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from agents import Agent
from chatkit.agents import ThreadItemConverter
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from store import HistoryItem, HistoryPage, PastTurn, SqlStore

from ..agents import find_agent
from ..context import RequestContext
from .calls import Item, pair_calls
from .replay import replay
from .tokens import count_tokens
from .transcript import Json

PAGE_SIZE = 200
"""Items that are read at once; nearly every thread is shorter than the first page."""
PROVIDER_MEMORY = timedelta(days=29)
"""OpenAI keeps what its ids stand for for 30 days."""

Exchange = list[HistoryItem]
"""A user's message and what followed it, in the thread's order."""


class Memory:
    """What is remembered of one thread. Made by `Memory.load`, once for each turn."""

    def __init__(self, store: SqlStore[RequestContext], thread_id: str, context: RequestContext) -> None:
        self._store = store
        self._thread_id = thread_id
        self._context = context
        self._newest: HistoryPage = HistoryPage([], [], None)
        self._turns: dict[str, PastTurn] = {}
        self._answers: dict[str, list[PastTurn]] = {}
        self._visible: set[str] = set()
        self._told: set[str] = set()

    @classmethod
    async def load(cls, store: SqlStore[RequestContext], thread: ThreadMetadata, context: RequestContext) -> "Memory":
        """Raises `chatkit.store.NotFoundError` for a thread that is not the user's."""
        memory = cls(store, thread.id, context)
        memory._newest = await memory._load_page(None)
        return memory

    @property
    def recent_items(self) -> list[ThreadItem]:
        """The newest items of the thread, hidden ones too, oldest first."""
        return [row.item for row in reversed(self._newest.items)]

    def last_agent(self, configured: Agent[Any]) -> Agent[Any]:
        """Who spoke last in this thread, if the configured agent can still hand over to it, else that agent."""
        seen: set[str] = set()
        for row in self._newest.items:
            turn = self._turn_of(row, seen)
            if turn is not None and turn.transcript and turn.transcript.get("agent"):
                return find_agent(configured, turn.transcript["agent"]) or configured
        return configured

    async def model_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> list[Item]:
        """The thread for a model whose `Models.origin` is `origin`, within `budget` tokens, oldest first.

        The newest exchange is always whole. One before it that does not fit is told as the user sees it; where that is
        too long as well, it and all before it are left out.
        """
        kept: list[list[Item]] = []
        async for exchange in self._exchanges():
            told = await self._tell(exchange, converter, origin)
            if kept and count_tokens(told) > budget:
                told = await self._show(exchange, converter)
            budget -= count_tokens(told)
            if kept and budget < 0:
                break
            kept.append(told)
        return pair_calls([item for told in reversed(kept) for item in told], is_unique=origin is not None)

    async def _exchanges(self) -> AsyncIterator[Exchange]:
        """From the newest back."""
        page, exchange = self._newest, Exchange()
        while True:
            for row in page.items:
                exchange.insert(0, row)
                if isinstance(row.item, UserMessageItem):
                    yield exchange
                    exchange = []
            if page.before is None:
                break
            page = await self._load_page(page.before)
        if exchange:
            yield exchange

    async def _load_page(self, before: int | None) -> HistoryPage:
        page = await self._store.load_history(self._thread_id, before, PAGE_SIZE, self._context)
        for turn in page.turns:
            if turn.id not in self._turns and turn.user_item_id is not None:
                self._answers.setdefault(turn.user_item_id, []).append(turn)
            self._turns[turn.id] = turn
        return page

    def _turn_of(self, row: HistoryItem, visible: set[str]) -> PastTurn | None:
        """The turn that the item counts to; `visible` are the turns of the items behind it.

        A user's message counts to the last turn that answered it: a retry, unless its answer was taken back.
        """
        if not isinstance(row.item, UserMessageItem):
            if row.turn_id is not None:
                visible.add(row.turn_id)
            return self._turns.get(row.turn_id or "")
        for turn in reversed(self._answers.get(row.item.id, [])):
            if turn.status == "running" or turn.transcript is not None or turn.id in visible:
                return turn
        return self._turns.get(row.turn_id or "")

    async def _tell(self, exchange: Exchange, converter: ThreadItemConverter, origin: str | None) -> list[Item]:
        turns = [self._turn_of(row, self._visible) for row in reversed(exchange)][::-1]
        told: list[Item] = []
        for _, group in groupby(zip(turns, exchange, strict=True), key=lambda pair: pair[0] and pair[0].id):
            pairs = list(group)
            turn, items = pairs[0][0], [row.item for _, row in pairs]
            entries = self._take_entries(turn)
            if turn is None or entries is None:
                told += await _shown(items, converter)
                continue
            is_same_model = _is_same_model(turn, origin)
            told += await replay(items, entries, converter, is_same_model=is_same_model)
        return told

    async def _show(self, exchange: Exchange, converter: ThreadItemConverter) -> list[Item]:
        return await _shown([row.item for row in exchange], converter)

    def _take_entries(self, turn: PastTurn | None) -> list[Json] | None:
        """The entries of the turn's transcript, once."""
        if turn is None or turn.id in self._told or not turn.transcript:
            return None
        self._told.add(turn.id)
        entries: list[Json] | None = turn.transcript.get("entries")
        return entries


def _is_same_model(turn: PastTurn, origin: str | None) -> bool:
    is_known = datetime.now(UTC) - turn.started_at < PROVIDER_MEMORY
    return is_known and origin is not None and turn.transcript.get("origin") == origin


async def _shown(items: Sequence[ThreadItem], converter: ThreadItemConverter) -> list[Item]:
    """What the user sees of these items."""
    return [entry for item in items for entry in await converter.to_agent_input([item])]
