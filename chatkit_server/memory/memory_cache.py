"""What a worker remembers of the model inputs that it built: the earlier exchanges of threads, converted.

The next turn of a thread reads what is new and appends it. Whether the rest is still true is checked by the statement
that reads what is new (`chatkit_store.HistoryWindow`), so what another worker or an administrator has changed is read
again. Inputs are kept as JSON: each turn gets objects of its own, which the code of agents may change.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from chatkit_store import HistoryWindow

from ..models.client.packed_items import PackedItems
from ..models.client.wire_items import is_fitted, is_message
from .call_pairs import InputItem
from .exchange import TurnPart
from .notes import join_notes, notes_of

SHORTEST = 4
"""How many exchanges a chain has at least; a shorter thread is read as quickly. More than `TitleMaker` looks at."""
ROW_BYTES = 600
"""About what an exchange and its objects take in memory, besides their JSON."""
LIVE_FACTOR = 4
"""How much more memory objects take than their JSON."""


@dataclass(frozen=True, slots=True)
class StoredInput:
    """The input items of an exchange, and about how many tokens they have."""

    json: bytes
    """The items in JSON, with a comma after each."""
    tokens: int
    count: int
    notes: tuple[int, ...]
    """Which of the items are `notes_of` the exchange."""
    is_fitted: bool
    """Whether they may be in `FittedItems`."""
    are_messages: bool
    is_closed: bool
    """Whether they are messages that no neighbour changes, unless a user's message is before them."""

    @classmethod
    def of(cls, items: Sequence[InputItem], tokens: int) -> "StoredInput | None":
        """Return the items, or None if JSON cannot represent them exactly."""
        try:
            json = to_json(items)
        except (PydanticSerializationError, ValueError):
            return None
        if from_json(json, cache_strings="keys") != items:
            return None
        notes = {id(note) for note in notes_of(items)}
        indexes = tuple(index for index, item in enumerate(items) if id(item) in notes)
        are_messages = all(map(is_message, items))
        is_closed = are_messages and bool(items) and items[-1].get("role") != "user" and not notes
        is_closed = is_closed and join_notes(items, []) == items
        parts = json[1:-1] + b"," if items else b""
        return cls(parts, tokens, len(items), indexes, is_fitted(items), are_messages, is_closed)


def joined_items(stored: Sequence[StoredInput]) -> tuple[list[InputItem], list[InputItem]]:
    """Return the items of all inputs as new objects, and those of them that are notes."""
    json = b"".join([entry.json for entry in stored])
    items: list[InputItem] = from_json(b"[" + json[:-1] + b"]", cache_strings="keys")
    notes, start = [], 0
    for entry in stored:
        notes += [items[start + index] for index in entry.notes]
        start += entry.count
    return items, notes


def packed_items(stored: Sequence[StoredInput]) -> PackedItems:
    """Return the items of inputs that are closed."""
    return PackedItems([entry.json for entry in stored])


@dataclass(frozen=True, slots=True)
class PastExchange:
    """An exchange before the newest one.

    `whole` is its input, `visible` that of its visible items, if it differs. Without `whole`, the exchange is converted
    again for each turn: what the model gets of a file, an image or a mention depends on more than the thread.
    """

    row_count: int
    parts: tuple[TurnPart, ...]
    """Only without `whole`."""
    agent: str | None
    """The last agent that its transcripts name."""
    replayed: frozenset[str]
    """The turns whose transcripts it contains."""
    last_start: datetime | None
    """When the last of its turns started."""
    expires_at: datetime | None
    """When something of it may no longer be sent to the model that produced it."""
    whole: StoredInput | None = None
    visible: StoredInput | None = None
    size: int = 0
    """About how many bytes of memory it takes."""

    def measured(self) -> "PastExchange":
        """Return it with its size."""
        stored = sum(len(form.json) for form in (self.whole, self.visible) if form is not None)
        live = sum(len(to_json(part, fallback=str)) for part in self.parts) * LIVE_FACTOR
        return replace(self, size=ROW_BYTES + stored + live)


@dataclass(frozen=True, slots=True)
class Chain:
    """The exchanges of a thread before the newest one, newest first, as the model with an origin gets them."""

    origin: str | None
    exchanges: tuple[PastExchange, ...]
    window: HistoryWindow
    """The part of the thread that contains them."""
    end: datetime
    """When the exchange after them started."""
    is_complete: bool
    """Whether they reach back to the beginning of the thread; otherwise, the oldest did not fit into the budget."""
    size: int

    @classmethod
    def of(
        cls,
        origin: str | None,
        exchanges: Sequence[PastExchange],
        window: HistoryWindow,
        end: datetime,
        *,
        is_complete: bool,
    ) -> "Chain | None":
        """Return a chain, or None if the window does not contain every turn of the exchanges."""
        if any(exchange.last_start is not None and exchange.last_start >= window.until for exchange in exchanges):
            return None
        size = ROW_BYTES + sum(exchange.size for exchange in exchanges)
        return cls(origin, tuple(exchanges), window, end, is_complete, size)

    def is_valid_at(self, now: datetime) -> bool:
        """Return whether nothing has expired."""
        return all(entry.expires_at is None or now < entry.expires_at for entry in self.exchanges)


ThreadKey = tuple[Any, ...]
"""Tenant, user and id of a thread."""


class MemoryCache:
    """The chains of the threads that were used last, of at most `limit` bytes in all; 0 keeps none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._chains: OrderedDict[tuple[ThreadKey, str | None], Chain] = OrderedDict()
        self._origins: dict[ThreadKey, str | None] = {}
        self.size = 0
        """About how many bytes the chains take."""

    def latest(self, thread: ThreadKey) -> Chain | None:
        """Return the chain of the thread's last turn, for whichever origin."""
        return self.find(thread, self._origins[thread]) if thread in self._origins else None

    def find(self, thread: ThreadKey, origin: str | None) -> Chain | None:
        """Return the thread's chain for an origin."""
        chain = self._chains.get((thread, origin))
        if chain is not None:
            self._chains.move_to_end((thread, origin))
        return chain

    def put(self, thread: ThreadKey, chain: Chain) -> None:
        """Keep a chain in place of the thread's last one for the same origin, and drop the chains used longest ago."""
        self.drop(thread, chain.origin)
        if chain.size > self.limit:
            return
        self._chains[thread, chain.origin] = chain
        self._origins[thread] = chain.origin
        self.size += chain.size
        while self.size > self.limit:
            self.drop(*next(iter(self._chains)))

    def drop(self, thread: ThreadKey, origin: str | None) -> None:
        """Forget a chain."""
        chain = self._chains.pop((thread, origin), None)
        if chain is not None:
            self.size -= chain.size
            if thread in self._origins and self._origins[thread] == origin:
                del self._origins[thread]
