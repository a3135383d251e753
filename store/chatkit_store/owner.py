"""The owner filter that every query on user data has."""

from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Table, and_, bindparam, exists, func, select

from chatkit_store.tables import threads


class Owner(NamedTuple):
    """Who owns a thread and all that belongs to it. The same `user_id` in two tenants means two users."""

    tenant: str
    """Empty without tenants."""
    user_id: str


class HasUser(Protocol):
    """The part of a request's context that the store needs.

    A context may also have a `tenant`, a string; without one, it means the empty tenant.
    """

    @property
    def user_id(self) -> str:
        """The user who sent the request."""


def owner_of(context: HasUser) -> Owner:
    """Return who sends the request."""
    return Owner(getattr(context, "tenant", ""), context.user_id)


def owner_columns(context: HasUser) -> dict[str, str]:
    """Return the columns that name the owner, for a new row."""
    return owner_of(context)._asdict()


def owner_values(context: HasUser) -> dict[str, str]:
    """Return the values of the parameters of `owned`, `checked` and `owns_thread`, other than `thread`."""
    tenant, user_id = owner_of(context)
    return {"owner": user_id, "owner_tenant": tenant}


def owned(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row belongs to the owner in the parameters, or else to that owner's `thread`.

    They are parameters so that statements are built once. SQLAlchemy refuses to run a statement without them.
    """
    if "user_id" in table.c:
        return _is_owner(table, table.c.user_id)
    return and_(table.c.thread_id == bindparam("thread"), owns_thread())


def checked(table: Table) -> ColumnElement[bool]:
    """Return the same condition, for few rows that other conditions find: no index is used for this one.

    SQLite has no statistics, so it may prefer the index of all rows of a user or thread to that of the few.
    """
    if "user_id" in table.c:
        return _is_owner(table, func.coalesce(table.c.user_id, ""))
    return and_(func.coalesce(table.c.thread_id, "") == bindparam("thread"), owns_thread())


def owns_thread() -> ColumnElement[bool]:
    """Return the condition that the user has the `thread`. It is evaluated once, not for each row."""
    return exists(select(threads.c.id).where(threads.c.id == bindparam("thread"), owned(threads)))


def _is_owner(table: Table, user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Compare the user first: an index finds a user's rows, and few users are in several tenants."""
    text = threads.c.user_id.type
    return and_(user_id == bindparam("owner", type_=text), table.c.tenant == bindparam("owner_tenant", type_=text))
