"""The input of the next turn's model: the thread from its newest exchange back, as far as the budget reaches."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from chatkit.agents import ThreadItemConverter
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from chatkit_store import HistoryCursor, HistoryPage, PastTurn, SqlStore

from ..context import RequestContext
from .call_pairs import InputItem, pair_calls
from .exchange import END, Exchange, PastTurns
from .replay import replay
from .token_estimate import count_tokens
from .transcript import Json

PAGE_SIZE = 200
"""Items that are read at once; nearly every thread is shorter than the first page."""
PROVIDER_MEMORY = timedelta(days=29)
"""OpenAI keeps what its ids stand for for 30 days."""


class Memory:
    """What is remembered of one thread. Made by `Memory.load`, once for each turn."""

    def __init__(self, store: SqlStore[RequestContext], thread_id: str, context: RequestContext) -> None:
        self._store = store
        self._thread_id = thread_id
        self._context = context
        self._newest: HistoryPage = HistoryPage([], [], None)
        self._past = PastTurns()
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

    @property
    def last_agent(self) -> str | None:
        """The name of the agent that answered last in this thread; None where no transcript has one."""
        whole, rest = self._cut(self._newest, Exchange([], END))
        for exchange in [*whole, rest] if rest.rows else whole:
            for part in reversed(exchange.parts(self._past)):
                if part.turn is not None and part.turn.transcript and part.turn.transcript.get("agent"):
                    name: str = part.turn.transcript["agent"]
                    return name
        return None

    async def model_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> list[InputItem]:
        """The thread for a model whose `Models.origin` is `origin`, within `budget` tokens, oldest first.

        The newest exchange is always whole. One before it that does not fit is told as the user sees it; where that is
        too long as well, it and all before it are left out.
        """
        kept: list[list[InputItem]] = []
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
        page, rest = self._newest, Exchange([], END)
        while True:
            whole, rest = self._cut(page, rest)
            for exchange in whole:
                yield exchange
            if page.before is None:
                break
            page = await self._load_page(page.before)
        if rest.rows:
            yield rest

    def _cut(self, page: HistoryPage, rest: Exchange) -> tuple[list[Exchange], Exchange]:
        """The exchanges that begin on the page, newest first, and what is there of the one before; `rest` is what the
        newer page had of the last one."""
        whole: list[Exchange] = []
        for row in page.items:
            rest.rows.insert(0, row)
            if isinstance(row.item, UserMessageItem):
                whole.append(rest)
                rest = Exchange([], self._past.beginning(row))
        return whole, rest

    async def _load_page(self, before: HistoryCursor | None) -> HistoryPage:
        page = await self._store.load_history(self._thread_id, before, PAGE_SIZE, self._context)
        self._past.add(page.turns)
        return page

    async def _tell(self, exchange: Exchange, converter: ThreadItemConverter, origin: str | None) -> list[InputItem]:
        told: list[InputItem] = []
        for part in exchange.parts(self._past):
            entries = self._take_entries(part.turn)
            if part.turn is None or entries is None:
                told += await _shown(part.items, converter)
                continue
            is_same_model = _is_same_model(part.turn, origin)
            told += await replay(part.items, entries, converter, is_same_model=is_same_model)
        return told

    async def _show(self, exchange: Exchange, converter: ThreadItemConverter) -> list[InputItem]:
        return await _shown([row.item for row in exchange.rows], converter)

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


async def _shown(items: Sequence[ThreadItem], converter: ThreadItemConverter) -> list[InputItem]:
    """What the user sees of these items."""
    return [entry for item in items for entry in await converter.to_agent_input([item])]
