"""What a store call may raise.

    Exception
    ├── chatkit.store.NotFoundError
    │   └── NotFound              the id does not exist, or belongs to somebody else
    └── StoreError
        ├── NotFound              (the same class: it has both parents)
        ├── IdClash               the id is taken by another thread or another user
        ├── AlreadyDecided        an approval has its decision, or waits no more
        ├── ThreadBusy            another turn runs on the thread
        ├── ThreadChanged         something happened on the thread since it was looked at
        ├── DuplicateRequest      a turn of the same request is there already
        ├── StoreUnavailable      the database does not answer, is locked or is full: worth a retry
        ├── SchemaOutdated        tables or columns are missing: migrate
        └── SchemaUnknown         the database was migrated by a newer version of this code

Driver errors become these at the store's edge (`translate_errors`), with the driver's error as the cause.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from chatkit.store import NotFoundError
from sqlalchemy import exc


class StoreError(Exception):
    """The database refused a statement; the cause tells why."""


class NotFound(NotFoundError, StoreError):
    """No such id among what this user owns. A stranger's id gives the same error as one that never was."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id} not found")
        self.kind = kind
        self.id = id


class IdClash(StoreError):
    """The id is already taken by something else; nothing was changed. Use a fresh id from `new_id`."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id} already exists elsewhere; nothing was changed")
        self.kind = kind
        self.id = id


class AlreadyDecided(StoreError):
    """Somebody was faster, or the conversation went on: nothing was changed."""

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"approval {approval_id} no longer waits for a decision")


class ThreadBusy(StoreError):
    """A turn runs on the thread (T16): end it first. Nothing was written."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(f"Turn {turn_id} runs on this thread")
        self.turn_id = turn_id


class ThreadChanged(StoreError):
    """Something happened on the thread since it was looked at: look again. Nothing was written."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"Thread {thread_id} has changed since it was looked at")


class DuplicateRequest(StoreError):
    """A turn was started for the same request before: read that one. Nothing was written."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(f"Turn {turn_id} answers this request already")
        self.turn_id = turn_id


class StoreUnavailable(StoreError):
    """The database does not answer in time or cannot write now; the same call may work later."""


class SchemaOutdated(StoreError):
    """The database lacks a table or a column: run `chatkit-server migrate` (or `store.create_schema` in a script)."""


class SchemaUnknown(StoreError):
    """The database's revision is not among this version's: run the version that migrated it, or a newer one."""


# Classes of SQLSTATE that pass by themselves: connection, rollback, resources, lock, operator, system.
_PASSING = ("08", "40", "53", "55", "57", "58")
_MISSING = ("42P01", "42703")  # undefined table, undefined column
_ABOUT_SCHEMA = ("42", "28", "3D", "SQLITE_ERROR")  # names and rights; statements carry their values apart
_ENDED = ("57P01", "57P02", "57P05", "25P03")  # the server stops or stopped; an idle session's time was over


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the driver or the pool raises into this file's errors; our own pass through.

    No message quotes the driver's: that may hold the statement's values, which are what people wrote.
    """
    try:
        yield
    except exc.DBAPIError as error:
        raise _translated(error) from error
    except (exc.TimeoutError, OSError) as error:  # no connection or no answer in time; refused, host not found
        raise StoreUnavailable(f"The database does not answer: {error or type(error).__name__}") from error


def is_lost(error: BaseException) -> bool:
    """Whether the driver's error says that the server ended the connection, or that it will not answer any more."""
    return isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) in _ENDED


def code_of(error: StoreError) -> str:
    """The driver's code of what failed, an SQLSTATE or SQLite's name for it; empty where it gave none."""
    cause = error.__cause__
    return _code(cause) if isinstance(cause, exc.DBAPIError) else str(getattr(cause, "sqlstate", None) or "")


def _translated(error: exc.DBAPIError) -> StoreError:
    reason = str(error.orig)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    told = _told(error)
    if state == "23505" or "UNIQUE constraint failed" in reason:
        return IdClash("A row with this", "id")
    if state in _MISSING or reason.startswith(("no such table", "no such column")) or " has no column named " in reason:
        return SchemaOutdated("The database schema is missing or too old; run `chatkit-server migrate`.")
    if error.connection_invalidated or state.startswith(_PASSING) or isinstance(error, exc.OperationalError):
        return StoreUnavailable(f"The database cannot serve this now: {told}")
    if isinstance(error, exc.InterfaceError) and not state:
        return StoreUnavailable(f"The connection to the database is lost: {told}")
    return StoreError(f"The database refused a statement: {told}")


def _told(error: exc.DBAPIError) -> str:
    """The driver's class and code: `OperationalError SQLITE_BUSY`; its words where they are about the schema."""
    driver, code = _driver_error(error), _code(error)
    words = str(driver.args[0]) if driver and driver.args and code.startswith(_ABOUT_SCHEMA) else ""
    return " ".join(filter(None, (type(driver).__name__, code, words)))


def _code(error: exc.DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None) or getattr(_driver_error(error), "sqlite_errorname", None)
    return str(state or "")


def _driver_error(error: exc.DBAPIError) -> BaseException | None:
    """SQLAlchemy wraps asyncpg's and aiosqlite's once more."""
    return error.orig if isinstance(error.orig, sqlite3.Error) else getattr(error.orig, "__cause__", None) or error.orig
