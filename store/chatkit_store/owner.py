"""The owner filter that every query on user data has."""

from typing import Any, Protocol

from sqlalchemy import ColumnElement, Table, and_, bindparam, exists, func, select

from chatkit_store.tables import threads


class HasUser(Protocol):
    """The part of a request's context that the store needs."""

    @property
    def user_id(self) -> str:
        """The user who sent the request."""


def owned(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row has the `user_id` of the parameter `owner`, or else is of that user's `thread`.

    They are parameters so that statements are built once. SQLAlchemy refuses to run a statement without them.
    """
    if "user_id" in table.c:
        return _is_owner(table.c.user_id)
    return and_(table.c.thread_id == bindparam("thread"), owns_thread())


def checked(table: Table) -> ColumnElement[bool]:
    """Return the same condition, for few rows that other conditions find: no index is used for this one.

    SQLite has no statistics, so it may prefer the index of all rows of a user or thread to that of the few.
    """
    if "user_id" in table.c:
        return _is_owner(func.coalesce(table.c.user_id, ""))
    return and_(func.coalesce(table.c.thread_id, "") == bindparam("thread"), owns_thread())


def owns_thread() -> ColumnElement[bool]:
    """Return the condition that the user has the `thread`. It is evaluated once, not for each row."""
    return exists(select(threads.c.id).where(threads.c.id == bindparam("thread"), _is_owner(threads.c.user_id)))


def _is_owner(user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return user_id == bindparam("owner", type_=threads.c.user_id.type)
