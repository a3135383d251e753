"""Tell PostgreSQL for whom a transaction acts. Its row-level security (`row_security`) shows only that user's rows.

Only an engine of `open_engine(..., row_security=True)` is told; for any other one nothing here runs a statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.columns import CleanText
from chatkit_store.owner import HasUser, Owner, owner_of

OPTION = "chatkit_row_security"
"""The execution option of a guarded engine and its connections."""
SCOPE, USER, TENANT = "chatkit.scope", "chatkit.user_id", "chatkit.tenant"
"""The names of the parameters that the policies read."""
OF_USER, OF_SERVER = "user", "server"
"""The values of the scope. Without one of them a transaction sees no rows."""


class AllUsers:
    """Stands for the server's own work, which concerns all users."""


ALL_USERS: Final = AllUsers()

Actor = HasUser | AllUsers
"""For whom a store call acts: the user of a request's context, or all."""


def is_guarded(engine: AsyncEngine) -> bool:
    """Return whether the engine's transactions say for whom they act."""
    return bool(engine.get_execution_options().get(OPTION, False))


def act_for(connection: Connection, actor: Actor) -> None:
    """Set the parameters until the end of the transaction, so that a pooled connection keeps nothing of them."""
    match actor:
        case AllUsers():
            scope, owner = OF_SERVER, Owner("", "")
        case _:
            scope, owner = OF_USER, owner_of(actor)
    connection.execute(_SET, {"scope": scope, **owner._asdict()})


@contextmanager
def for_all_users(connection: Connection) -> Iterator[None]:
    """Let the statements in the block see the rows of all users, such as those that a limit counts.

    Outside of it, the transaction acts for its user.
    """
    if not connection.get_execution_options().get(OPTION, False):
        yield
        return
    connection.execute(_SET_SCOPE, {"scope": OF_SERVER})
    yield  # after an exception nothing is left to restore: it ends the transaction
    connection.execute(_SET_SCOPE, {"scope": OF_USER})


def _set(name: str, value: str) -> ColumnElement[str]:
    return func.set_config(name, bindparam(value, type_=CleanText), True)


_SET = select(_set(SCOPE, "scope"), _set(USER, "user_id"), _set(TENANT, "tenant"))
_SET_SCOPE = select(_set(SCOPE, "scope"))
