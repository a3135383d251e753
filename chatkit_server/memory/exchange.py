"""Group a thread into exchanges: a user's message with everything that followed it, and the turns that still count.

Each item names the turn that wrote it. A turn that wrote no item, such as one that failed right after an approved tool
had run, is placed by its time: it started after the answer to the message and before the next message.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from chatkit.types import ThreadItem, UserMessageItem

from chatkit_store import HistoryItem, PastTurn

BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


class PastTurns:
    """The turns of a thread that are loaded so far."""

    def __init__(self) -> None:
        self._by_id: dict[str, PastTurn] = {}
        self._by_message: dict[str, list[PastTurn]] = {}
        self._without_message: list[PastTurn] = []

    def add(self, turns: Iterable[PastTurn]) -> None:
        """Add turns, ignoring those that are already loaded."""
        for turn in turns:
            if turn.id not in self._by_id:
                self._by_id[turn.id] = turn
                has_message = turn.user_item_id is not None
                group = (
                    self._by_message.setdefault(turn.user_item_id or "", []) if has_message else self._without_message
                )
                insort(group, turn, key=_start_and_id)

    def writer_of(self, row: HistoryItem) -> PastTurn | None:
        """Return the turn that first wrote the item, or None."""
        return self._by_id.get(row.turn_id or "")

    def answering_turn(self, message: HistoryItem, visible: set[str | None]) -> PastTurn | None:
        """Return the last turn that answered the user's message: a retry, unless it left nothing behind.

        `visible` are the ids of the turns that wrote the items after the message.
        """
        for turn in reversed(self._by_message.get(message.item.id, [])):
            if turn.status in ("running", "completed") or turn.transcript is not None or turn.id in visible:
                return turn
        return self.writer_of(message)

    def without_message(self, since: datetime, until: datetime) -> Sequence[PastTurn]:
        """Return the turns that no user message started: answers to questions, decisions, actions. Oldest first."""
        first, last = (bisect_left(self._without_message, moment, key=_start) for moment in (since, until))
        return self._without_message[first:last]

    def start_of(self, row: HistoryItem) -> datetime:
        """Return when the item's turn started; for an item without a turn, when the item was created."""
        turn = self.writer_of(row)
        return row.item.created_at if turn is None else turn.started_at


@dataclass(frozen=True)
class TurnPart:
    """What one turn did in an exchange, with its visible items. `turn` is None for items without a loaded turn."""

    turn: PastTurn | None
    items: list[ThreadItem]

    @property
    def start(self) -> datetime:
        """When it happened."""
        return self.items[0].created_at if self.turn is None else self.turn.started_at


@dataclass(frozen=True)
class Exchange:
    """Rows of the thread in order, the user's message first; `end` is when the next exchange started."""

    rows: list[HistoryItem]
    end: datetime

    def parts(self, past: PastTurns) -> list[TurnPart]:
        """Return the parts in order, without the turns that a retry replaced."""
        visible = {row.turn_id for row in self.rows if not isinstance(row.item, UserMessageItem)}
        turns = [self._turn_of(row, past, visible) for row in self.rows]
        parts: list[TurnPart] = []
        for _, group in groupby(zip(turns, self.rows, strict=True), key=lambda pair: pair[0] and pair[0].id):
            pairs = list(group)
            parts.append(TurnPart(pairs[0][0], [row.item for _, row in pairs]))
        for turn in past.without_message(self._start(turns), self.end):
            if turn not in turns:
                later = [index for index, part in enumerate(parts) if part.start > turn.started_at]
                parts.insert(min(later, default=len(parts)), TurnPart(turn, []))
        return parts

    def start(self, past: PastTurns) -> datetime:
        """Return when the current answer started."""
        visible = {row.turn_id for row in self.rows if not isinstance(row.item, UserMessageItem)}
        return self._start([self._turn_of(row, past, visible) for row in self.rows[:1]])

    def _turn_of(self, row: HistoryItem, past: PastTurns, visible: set[str | None]) -> PastTurn | None:
        if isinstance(row.item, UserMessageItem):
            return past.answering_turn(row, visible)
        turn = past.writer_of(row)
        # A note written by the turn of the next message precedes that message. Its turn belongs to the next exchange.
        return turn if turn is not None and turn.started_at < self.end else None

    def _start(self, turns: Sequence[PastTurn | None]) -> datetime:
        """Return when the current answer started; a retry replaced everything before it."""
        first = self.rows[0].item
        if not isinstance(first, UserMessageItem):
            return BEGINNING
        return first.created_at if turns[0] is None else turns[0].started_at


def _start(turn: PastTurn) -> datetime:
    return turn.started_at


def _start_and_id(turn: PastTurn) -> tuple[datetime, str]:
    return turn.started_at, turn.id
