"""Build the model input of the next turn: the thread from its newest exchange back, within a budget of tokens."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chatkit.agents import ThreadItemConverter
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem, UserMessageTextContent

from chatkit_store import HistoryCursor, HistoryPage, PastTurn, SqlStore
from chatkit_store.text import plain_text

from ..context import RequestContext
from .call_pairs import InputItem, pair_calls
from .exchange import END, Exchange, PastTurns, TurnPart
from .notes import join_notes, notes_of, with_answer
from .replay import replay_turn
from .token_estimate import count_tokens
from .transcript import Json

PAGE_SIZE = 200
"""Items per query; nearly every thread fits on the first page."""
PROVIDER_MEMORY = timedelta(days=29)
"""How long ids of the provider are used: OpenAI stores responses for 30 days."""


class Memory:
    """The history of one thread. Create it with `Memory.load`, once per turn."""

    def __init__(self, store: SqlStore[RequestContext], thread_id: str, context: RequestContext) -> None:
        self._store = store
        self._thread_id = thread_id
        self._context = context
        self._newest: HistoryPage = HistoryPage([], [], None)
        self._past = PastTurns()
        self._replayed: set[str] = set()

    @classmethod
    async def load(cls, store: SqlStore[RequestContext], thread: ThreadMetadata, context: RequestContext) -> "Memory":
        """Load the newest page. Raises `chatkit.store.NotFoundError` for another user's thread."""
        memory = cls(store, thread.id, context)
        memory._newest = await memory._load_page(None)
        return memory

    def leave_out_answer(self) -> None:
        """Leave out everything after the user's last message, as it was when the message arrived."""
        rows = self._newest.items
        position = next((index for index, row in enumerate(rows) if isinstance(row.item, UserMessageItem)), 0)
        self._newest = replace(self._newest, items=rows[position:])

    @property
    def recent_items(self) -> list[ThreadItem]:
        """The newest items of the thread including hidden ones, oldest first."""
        return [row.item for row in reversed(self._newest.items)]

    @property
    def user_text(self) -> str:
        """The text of the user's last message, with what it quotes; empty if there is none."""
        message = next((item for item in reversed(self.recent_items) if isinstance(item, UserMessageItem)), None)
        return "" if message is None else plain_text(message)

    @property
    def last_agent(self) -> str | None:
        """The name of the agent that answered last, from the newest page's transcripts; None if they name none."""
        complete, partial = self._cut(self._newest, Exchange([], END))
        for exchange in [*complete, partial] if partial.rows else complete:
            for part in reversed(exchange.parts(self._past)):
                if part.turn is not None and part.turn.transcript and part.turn.transcript.get("agent"):
                    name: str = part.turn.transcript["agent"]
                    return name
        return None

    async def model_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> list[InputItem]:
        """Return the thread as input for a model whose `Models.origin` is `origin`, oldest first.

        `budget` is in tokens. The newest exchange is always included. An older one that does not fit is reduced to its
        visible items; if these do not fit either, it and all older ones are left out.
        """
        exchanges = await self._fitting(converter, budget, origin)
        return _joined(exchanges[::-1], is_unique=origin is not None)

    async def split_input(
        self, converter: ThreadItemConverter, *, budget: int, origin: str | None = None
    ) -> tuple[list[InputItem], list[InputItem]]:
        """Return the same as `model_input` in two parts: the earlier exchanges, and the newest, which begins with the
        user's message. It may be called again for another origin.
        """
        newest, *earlier = await self._fitting(converter, budget, origin) or [[]]
        is_unique = origin is not None
        return _joined(earlier[::-1], is_unique=is_unique), _joined([newest], is_unique=is_unique)

    async def _fitting(self, converter: ThreadItemConverter, budget: int, origin: str | None) -> list[list[InputItem]]:
        """Return the exchanges that fit into the budget, newest first."""
        self._replayed.clear()
        exchanges: list[list[InputItem]] = []
        async for exchange in self._exchanges():
            items = await self._replay(exchange, converter, origin)
            if exchanges and count_tokens(items) > budget:
                visible = [item for part in exchange.parts(self._past) for item in _as_read(part)]
                items = await _convert(visible, converter)
            budget -= count_tokens(items)
            if exchanges and budget < 0:
                break
            exchanges.append(with_answer(items) if exchanges else items)
        return exchanges

    async def _exchanges(self) -> AsyncIterator[Exchange]:
        """Yield the exchanges, newest first."""
        page, partial = self._newest, Exchange([], END)
        while True:
            complete, partial = self._cut(page, partial)
            for exchange in complete:
                yield exchange
            if page.before is None:
                break
            page = await self._load_page(page.before)
        if partial.rows:
            yield partial

    def _cut(self, page: HistoryPage, partial: Exchange) -> tuple[list[Exchange], Exchange]:
        """Return the exchanges that begin on the page, newest first, and the end of one that begins on an older page.

        `partial` is what the newer page returned as the latter.
        """
        complete: list[Exchange] = []
        for row in page.items:
            partial.rows.insert(0, row)
            if isinstance(row.item, UserMessageItem):
                complete.append(partial)
                partial = Exchange([], self._past.start_of(row))
        return complete, partial

    async def _load_page(self, before: HistoryCursor | None) -> HistoryPage:
        page = await self._store.load_history(self._thread_id, before, PAGE_SIZE, self._context)
        self._past.add(page.turns)
        return page

    async def _replay(self, exchange: Exchange, converter: ThreadItemConverter, origin: str | None) -> list[InputItem]:
        items: list[InputItem] = []
        for part in exchange.parts(self._past):
            entries, read = self._take_entries(part.turn), _as_read(part)
            if part.turn is None or entries is None:
                items += await _convert(read, converter)
                continue
            is_same_model = _is_same_model(part.turn, origin)
            items += await replay_turn(read, entries, converter, is_same_model=is_same_model)
        return items

    def _take_entries(self, turn: PastTurn | None) -> list[Json] | None:
        """Return the entries of the turn's transcript the first time, then None: a turn may have several parts."""
        if turn is None or turn.id in self._replayed or not turn.transcript:
            return None
        self._replayed.add(turn.id)
        entries: list[Json] | None = turn.transcript.get("entries")
        return entries


def _joined(exchanges: Sequence[list[InputItem]], *, is_unique: bool) -> list[InputItem]:
    """Return exchanges, oldest first, as one history."""
    history = pair_calls([item for items in exchanges for item in items], is_unique=is_unique)
    return join_notes(history, [note for items in exchanges for note in notes_of(items)])


def _is_same_model(turn: PastTurn, origin: str | None) -> bool:
    is_recent = datetime.now(UTC) - turn.started_at < PROVIDER_MEMORY
    return is_recent and origin is not None and turn.transcript.get("origin") == origin


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
