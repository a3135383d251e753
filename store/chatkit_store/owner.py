"""The owner filter that every query on user data has."""

from typing import Protocol

from sqlalchemy import ColumnElement, Table, bindparam, select

from chatkit_store.tables import threads


class HasUser(Protocol):
    """The part of a request's context that the store needs."""

    @property
    def user_id(self) -> str:
        """The user who sent the request."""


def owned(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row, or else its thread, has the `user_id` of the statement's parameter `owner`.

    It is a parameter so that statements are built once. SQLAlchemy refuses to run a statement without it.
    """
    if "user_id" in table.c:
        return table.c.user_id == bindparam("owner", type_=table.c.user_id.type)
    mine = select(threads.c.id).where(threads.c.id == table.c.thread_id, owned(threads))
    return mine.exists()
