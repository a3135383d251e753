"""What the start of a turn writes: its thread if new, its first items, and its row."""

from collections.abc import Sequence

from chatkit.types import ThreadItem, ThreadMetadata
from sqlalchemy import BigInteger, Connection, bindparam, insert, update

from chatkit_store import approvals, at_once, attachments, limits, threads
from chatkit_store.items import position_of, put_items, take_positions, to_rows, write_items
from chatkit_store.loop_connection import is_short
from chatkit_store.notices import remove_notices
from chatkit_store.owner import HasUser, owned, owner_values
from chatkit_store.tables import thread_items, turns
from chatkit_store.turn_rows import NewTurn, RequestKey

i = thread_items.c


class TurnStart:
    """The start of a turn, for one transaction. `TurnStore.start` explains the arguments."""

    def __init__(
        self,
        turn: NewTurn,
        context: HasUser,
        *,
        new_thread: ThreadMetadata | None,
        items: Sequence[ThreadItem],
        replace_after: str | None,
        decisions: Sequence[approvals.ApprovalDecision],
        key: RequestKey | None,
        seen_position: int | None,
        allowed: limits.TurnLimits,
        dialect: str,
    ) -> None:
        if new_thread is not None and new_thread.id != turn.thread_id:
            raise ValueError("the turn and its new thread have different thread ids")
        self.turn = turn
        self.key = key
        self.thread_row = None if new_thread is None else threads.to_row(new_thread)
        self._context = context
        self._dialect = dialect
        self._rows = to_rows(turn.thread_id, items, turn.id)
        self._attachment_ids = attachments.ids_in(items)
        self._replace_after = replace_after
        self._decisions = decisions
        self._seen_position = seen_position
        self._allowed = allowed
        self._starter = limits.Starter(turn.thread_id, new_thread is not None, turn.session_id, turn.address_key)
        gives_up_key = key is not None and key.taken_from is not None
        self._is_plain = not (replace_after or decisions or self._attachment_ids or gives_up_key)

    def at_once(self) -> at_once.Write | None:
        """Return the statement that writes everything, or None if one alone cannot."""
        if not self._is_plain or self._allowed.is_used:
            return None
        turn, thread_row = self.turn, self.thread_row
        new = None
        if thread_row is not None:
            new = threads.new_row(turn.thread_id, thread_row, self._context, len(self._rows))
        seen = self._seen_position if turn.user_item_id is not None else None
        return at_once.start(turn.to_row(self.key, self._context), new, self._rows, seen, self._context)

    @property
    def is_short(self) -> bool:
        """Whether `write` is a short write. For a limit of tokens, all turns of the day are read."""
        is_plain = self._is_plain and self._allowed.tokens_per_day is None and at_once.is_plain(self._rows)
        return is_plain and is_short(self._rows[0]["payload"])

    def write(self, connection: Connection) -> list[str]:
        """Write everything, by a statement per step, and return the ids of the items that the thread no longer shows.

        Raises `IdClash` whatever unique value is taken, also where `TurnStore.start` says more, and its other errors.
        """
        turn, context, dialect, is_new_thread = self.turn, self._context, self._dialect, self.thread_row is not None
        limits.serialize(connection, dialect, self._allowed, self._starter, context)
        if self.key is not None and self.key.taken_from is not None:
            connection.execute(RELEASE_KEY, {"turn": self.key.taken_from, **owner_values(context)})
        if self.thread_row is not None:
            threads.insert_thread(connection, dialect, turn.thread_id, self.thread_row, context, len(self._rows))
        replaced_ids = [] if self._replace_after is None else self._replace(connection, self._replace_after)
        if is_new_thread:
            put_items(connection, dialect, self._rows, 1)
        else:
            position = self._seen_position
            write_items(connection, dialect, turn.thread_id, self._rows, context, seen_position=position)
        attachments.bind(connection, self._attachment_ids, turn.thread_id, context)
        if turn.user_item_id is not None and not is_new_thread:  # a new user message cancels pending approvals
            approvals.expire(connection, turn.thread_id, is_final=self._replace_after is None)
        for decision in self._decisions:
            approvals.decide(connection, turn.thread_id, decision, context)
        removed_ids = [] if is_new_thread else remove_notices(connection, turn.thread_id)
        limits.check(connection, self._allowed, self._starter, context)
        connection.execute(_START, turn.to_row(self.key, context))
        return [*replaced_ids, *removed_ids]

    def _replace(self, connection: Connection, after: str) -> list[str]:
        """Hide what follows the item until the turn is taken back; return the ids of what was visible.

        Locks the thread.
        """
        thread_id = self.turn.thread_id
        take_positions(connection, thread_id, 0, self._context)
        position = position_of(connection, thread_id, after, self._context)
        rows = connection.execute(_REPLACE, {"thread": thread_id, "after": position, "turn": self.turn.id}).all()
        return [row.id for row in rows if not row.hidden]


RELEASE_KEY = update(turns).where(turns.c.id == bindparam("turn"), owned(turns)).values(request_key=None)
"""Takes the key of its request from a `turn`."""

_START = insert(turns)
_LATER = (
    i.thread_id == bindparam("thread"),
    i.position > bindparam("after", type_=BigInteger),
    i.replaced_by.is_(None),
)
_REPLACE = update(thread_items).where(*_LATER).values(replaced_by=bindparam("turn")).returning(i.id, i.hidden)
