"""Who owns a row: the one filter that every query on somebody's data carries."""

from typing import Protocol

from sqlalchemy import ColumnElement, Table, select

from store.tables import threads


class HasUser(Protocol):
    """All that the store needs of a request's context."""

    @property
    def user_id(self) -> str:
        """The one who asks."""


def owned(table: Table, context: HasUser) -> ColumnElement[bool]:
    """True for rows of `context.user_id`: by their own `user_id`, or else by that of their thread."""
    if "user_id" in table.c:
        return table.c.user_id == context.user_id
    mine = select(threads.c.id).where(threads.c.id == table.c.thread_id, owned(threads, context))
    return mine.exists()
