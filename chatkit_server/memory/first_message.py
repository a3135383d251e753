"""The history of a new thread: the message that its turn has just saved. It needs no query."""

from contextvars import ContextVar
from dataclasses import dataclass

from chatkit.types import UserMessageItem

from chatkit_store import HistoryItem, HistoryPage, PastTurn


@dataclass(frozen=True)
class FirstMessage:
    """The only item of a thread while the turn that answers it begins."""

    message: UserMessageItem
    turn_id: str

    def page(self) -> HistoryPage:
        """Return what the store would return of the thread."""
        turn = PastTurn(self.turn_id, self.message.id, "running", self.message.created_at, None)
        return HistoryPage([HistoryItem(self.message, self.turn_id, 1)], [turn], None)


first_message: ContextVar[FirstMessage | None] = ContextVar("first_message", default=None)
"""That of the current task's turn, if its thread is new and nothing else has been written to it."""
