"""The errors of store calls.

    Exception
    ├── chatkit.store.NotFoundError
    │   └── NotFound              the id does not exist, or belongs to another user
    └── StoreError
        ├── NotFound              (the same class: it has two parents)
        ├── IdClash               the id is taken by another thread or another user
        ├── TooManyUnsent         all users together have uploaded too much without sending it
        ├── LimitReached          the user may not start another turn, or store another file, for now
        ├── AlreadyDecided        the approval is decided or expired
        ├── ThreadBusy            another turn is running on the thread
        ├── ThreadChanged         the thread has changed since it was read
        ├── DuplicateRequest      an equal request has started a turn
        ├── StoreUnavailable      the database does not respond, is locked or is full: worth a retry
        ├── SchemaOutdated        tables or columns are missing: migrate
        └── SchemaUnknown         a newer version of this code migrated the database

`translate_errors` turns driver errors into these at the edge of the store, and keeps them as the cause.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import cast

from chatkit.store import NotFoundError
from sqlalchemy import exc


class StoreError(Exception):
    """The database rejected a statement; see the cause."""


class NotFound(NotFoundError, StoreError):
    """The user owns nothing with this id. Another user's id and a nonexistent one give the same error."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id} not found")
        self.kind = kind
        self.id = id


class IdClash(StoreError):
    """The id is taken; nothing was written. Use a new id from `new_id`."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id} already exists elsewhere; nothing was changed")
        self.kind = kind
        self.id = id


class TooManyUnsent(StoreError):
    """All users together have uploaded more files, or bytes, than they may without sending them."""


class LimitReached(StoreError):
    """A limit of the user, the session, the address or the thread is reached; nothing was written."""

    def __init__(self, kind: str, limit: int, until: datetime | None) -> None:
        super().__init__(f"the limit {kind} of {limit} is reached")
        self.kind = kind
        """A field of `TurnLimits`, or `file_bytes`."""
        self.limit = limit
        self.until = until
        """When there is room again, if nothing else is started; None if that does not depend on the time."""


class AlreadyDecided(StoreError):
    """The approval is already decided, or its run expired; nothing was written."""

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"approval {approval_id} no longer waits for a decision")


class ThreadBusy(StoreError):
    """A turn is running on the thread; end it first. Nothing was written."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(f"Turn {turn_id} runs on this thread")
        self.turn_id = turn_id


class ThreadChanged(StoreError):
    """The thread has changed since it was read; read it again. Nothing was written."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"Thread {thread_id} has changed since it was read")


class DuplicateRequest(StoreError):
    """An equal request has already started a turn; read that one. Nothing was written."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(f"Turn {turn_id} answers this request already")
        self.turn_id = turn_id


class StoreUnavailable(StoreError):
    """The database does not respond in time or cannot write now; the same call may succeed later."""


class SchemaOutdated(StoreError):
    """A table or column is missing: run `chatkit-server migrate`, or `chatkit_store.migrations.upgrade` in code."""


class SchemaUnknown(StoreError):
    """This version does not have the database's revision: run the version that migrated it, or a newer one."""


# Classes of SQLSTATE that are temporary: connection, rollback, resources, lock, operator, system.
_TEMPORARY = ("08", "40", "53", "55", "57", "58")
_MISSING = ("42P01", "42703")  # undefined table, undefined column
# Their messages have names and permissions, but no values. 08P01 is what PgBouncer says.
_ABOUT_SCHEMA = ("42", "28", "3D", "08P01", "SQLITE_ERROR")
_ENDED = ("57P01", "57P02", "57P05", "25P03")  # the server is stopping or has stopped; idle session timeout


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of the driver and the pool into this file's; store errors pass through.

    Messages do not quote the driver's, which may contain the statement's values, that is user content.
    """
    try:
        yield
    except exc.DBAPIError as error:
        raise _translated(error) from error
    except sqlite3.Error as error:  # of a `DriverConnection`
        wrapped = exc.DBAPIError.instance(None, None, error, sqlite3.Error, hide_parameters=True)
        raise _translated(cast(exc.DBAPIError, wrapped)) from wrapped
    except (exc.TimeoutError, OSError) as error:  # no connection or response in time; refused; host not found
        raise StoreUnavailable(f"The database does not answer: {error or type(error).__name__}") from error


def is_lost(error: BaseException) -> bool:
    """Return whether a driver error means that the server closed the connection or stopped responding."""
    return isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) in _ENDED


def is_deadlock(error: exc.DBAPIError) -> bool:
    """Return whether PostgreSQL has rolled a transaction back that waited for another one, and that for this one."""
    return _code(error) == "40P01"


def code_of(error: StoreError) -> str:
    """Return the driver's error code, an SQLSTATE or SQLite's name of it, or an empty string."""
    cause = error.__cause__
    return _code(cause) if isinstance(cause, exc.DBAPIError) else str(getattr(cause, "sqlstate", None) or "")


def _translated(error: exc.DBAPIError) -> StoreError:
    reason = str(error.orig)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    summary = _summary(error)
    if state == "23505" or "UNIQUE constraint failed" in reason:
        return IdClash("A row with this", "id")
    if state == "42501" and "USING" in reason:  # row-level security hides the row that has the id of the new one
        return IdClash("A row with this", "id")
    if state in _MISSING or reason.startswith(("no such table", "no such column")) or " has no column named " in reason:
        return SchemaOutdated("The database schema is missing or outdated; run `chatkit-server migrate`.")
    if error.connection_invalidated or state.startswith(_TEMPORARY) or isinstance(error, exc.OperationalError):
        return StoreUnavailable(f"The database cannot serve this now: {summary}")
    if isinstance(error, exc.InterfaceError) and not state:
        return StoreUnavailable(f"The connection to the database is lost: {summary}")
    return StoreError(f"The database refused a statement: {summary}")


def _summary(error: exc.DBAPIError) -> str:
    """Return class and code, like `OperationalError SQLITE_BUSY`, and the message if it is about the schema."""
    driver, code = _driver_error(error), _code(error)
    message = str(driver.args[0]) if driver and driver.args and code.startswith(_ABOUT_SCHEMA) else ""
    return " ".join(filter(None, (type(driver).__name__, code, message)))


def _code(error: exc.DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None) or getattr(_driver_error(error), "sqlite_errorname", None)
    return str(state or "")


def _driver_error(error: exc.DBAPIError) -> BaseException | None:
    """Return the driver's error, which SQLAlchemy wraps twice for asyncpg and aiosqlite."""
    return error.orig if isinstance(error.orig, sqlite3.Error) else getattr(error.orig, "__cause__", None) or error.orig
