"""A user's message and all that followed it, and which turns of the thread count in it.

Items name the turns that wrote them. A turn that showed nothing, such as one that failed when an approved tool had run,
is known by its time alone: it began behind the message's answer and before the next message.
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
    """The turns of a thread that were loaded so far."""

    def __init__(self) -> None:
        self._by_id: dict[str, PastTurn] = {}
        self._answers: dict[str, list[PastTurn]] = {}
        self._others: list[PastTurn] = []

    def add(self, turns: Iterable[PastTurn]) -> None:
        """Known ones are left as they are."""
        for turn in turns:
            if turn.id not in self._by_id:
                self._by_id[turn.id] = turn
                is_other = turn.user_item_id is None
                others = self._others if is_other else self._answers.setdefault(turn.user_item_id or "", [])
                insort(others, turn, key=_order)

    def writer(self, row: HistoryItem) -> PastTurn | None:
        """The turn that first wrote the item."""
        return self._by_id.get(row.turn_id or "")

    def answer(self, message: HistoryItem, visible: set[str | None]) -> PastTurn | None:
        """The last turn that answered the user's message: a retry, unless its answer was taken back.

        `visible` are the turns that wrote what follows the message.
        """
        for turn in reversed(self._answers.get(message.item.id, [])):
            if turn.status in ("running", "completed") or turn.transcript is not None or turn.id in visible:
                return turn
        return self.writer(message)

    def others(self, since: datetime, until: datetime) -> Sequence[PastTurn]:
        """The turns that no message of the user's began: answers to questions, decisions, actions. Oldest first."""
        first, last = (bisect_left(self._others, moment, key=_start) for moment in (since, until))
        return self._others[first:last]

    def beginning(self, row: HistoryItem) -> datetime:
        """When the turn of the item began; of an item without one, when it was made."""
        turn = self.writer(row)
        return row.item.created_at if turn is None else turn.started_at


@dataclass(frozen=True)
class Part:
    """What one turn did in an exchange, and what it showed there; without a turn only what the thread shows."""

    turn: PastTurn | None
    items: list[ThreadItem]

    @property
    def start(self) -> datetime:
        """When it happened."""
        return self.items[0].created_at if self.turn is None else self.turn.started_at


@dataclass(frozen=True)
class Exchange:
    """Rows of the thread in their order; `end` is when the next exchange began."""

    rows: list[HistoryItem]
    end: datetime

    def parts(self, past: PastTurns) -> list[Part]:
        """In their order. Turns whose effect a retry replaced are not among them."""
        visible = {row.turn_id for row in self.rows if not isinstance(row.item, UserMessageItem)}
        turns = [self._turn_of(row, past, visible) for row in self.rows]
        parts: list[Part] = []
        for _, group in groupby(zip(turns, self.rows, strict=True), key=lambda pair: pair[0] and pair[0].id):
            pairs = list(group)
            parts.append(Part(pairs[0][0], [row.item for _, row in pairs]))
        for turn in past.others(self._start(turns), self.end):
            if turn not in turns:
                behind = [at for at, part in enumerate(parts) if part.start > turn.started_at]
                parts.insert(min(behind, default=len(parts)), Part(turn, []))
        return parts

    def _turn_of(self, row: HistoryItem, past: PastTurns, visible: set[str | None]) -> PastTurn | None:
        if isinstance(row.item, UserMessageItem):
            return past.answer(row, visible)
        turn = past.writer(row)
        # A note that came with the next message stands before it: its turn is told there, or was replaced.
        return turn if turn is not None and turn.started_at < self.end else None

    def _start(self, turns: Sequence[PastTurn | None]) -> datetime:
        """When the answer began that counts: what happened before it, a retry has replaced."""
        first = self.rows[0].item
        if not isinstance(first, UserMessageItem):
            return BEGINNING
        return first.created_at if turns[0] is None else turns[0].started_at


def _start(turn: PastTurn) -> datetime:
    return turn.started_at


def _order(turn: PastTurn) -> tuple[datetime, str]:
    return turn.started_at, turn.id
