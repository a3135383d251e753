"""Who owns a row: the one filter that every query on somebody's data carries."""

from typing import Protocol

from sqlalchemy import ColumnElement, Table, bindparam, select

from chatkit_store.tables import threads


class HasUser(Protocol):
    """All that the store needs of a request's context."""

    @property
    def user_id(self) -> str:
        """The one who asks."""


def owned(table: Table) -> ColumnElement[bool]:
    """True for rows of the statement's parameter `owner`: by their own `user_id`, or else by that of their thread.

    A parameter, so that statements are built once. SQLAlchemy refuses to run one without it.
    """
    if "user_id" in table.c:
        return table.c.user_id == bindparam("owner", type_=table.c.user_id.type)
    mine = select(threads.c.id).where(threads.c.id == table.c.thread_id, owned(threads))
    return mine.exists()
