"""What is wrong with the database, for the person who set it up: where it is, why it fails, and what to do next.

A URL's password is never told: of PostgreSQL the host, the port, the database and the user are, of SQLite the file.
"""

import re
from pathlib import Path

from sqlalchemy import URL

from chatkit_store import SchemaOutdated, StoreError
from chatkit_store.errors import code_of

from .network import network_reason

ANOTHER = "set CHATKIT_DATABASE_URL to another one"
THERE = re.compile(r"(?:table|relation|index) \S+ already exists")
"""A driver's words for a name that is taken."""

BRIEF = {
    "3D000": "is not there: PostgreSQL has none of its name",
    "28P01": "refuses this server's user or password",
    "28000": "refuses this server's user or password",
    "53300": "has no connection left",
    "55000": "takes no connections",
    "57P01": "was shut down",
    "57P03": "is starting or stopping",
    "SQLITE_BUSY": "is locked by another process",
    "SQLITE_CANTOPEN": "file cannot be opened",
    "SQLITE_CORRUPT": "file is damaged",
    "SQLITE_FULL": "has no space left on its disk",
    "SQLITE_READONLY": "file cannot be written",
}


def explain_database_error(error: StoreError, url: URL) -> str:
    """A sentence or two about `error`, which came of the database at `url`."""
    code = code_of(error)
    if url.get_backend_name() == "sqlite":
        return _sqlite_problem(error, code, str(Path(url.database).absolute()) if url.database else "in memory")
    return _postgresql_problem(error, code, url)


def summarize_database_error(error: StoreError) -> str:
    """The same in a few words without any name, for an administrator who asks over the network as anybody can."""
    if isinstance(error.__cause__, OSError):
        words = f"The database does not answer: {network_reason(error.__cause__)}."
    else:
        code = code_of(error)
        words = f"The database {BRIEF.get(code) or f'cannot be used ({code or type(error.__cause__).__name__})'}."
    return f"{words} The server's log says more, and so does `chatkit-server doctor`."


def missing_folder(file: str) -> str | None:
    """The folder that a SQLite file needs and that is not there."""
    folder = Path(file).absolute().parent
    return None if folder.is_dir() else str(folder)


def _sqlite_problem(error: StoreError, code: str, file: str) -> str:
    match code:
        case "SQLITE_CANTOPEN" if (folder := missing_folder(file)) is not None:
            return f"The database {file} cannot be opened: there is no folder {folder}. Make it, or {ANOTHER}."
        case "SQLITE_CANTOPEN":
            return (
                f"The database {file} cannot be opened. See that it is a file that this user may write, or {ANOTHER}."
            )
        case "SQLITE_READONLY" | "SQLITE_READONLY_DIRECTORY":
            return f"The database {file} cannot be written. Let this user write the file and its folder, or {ANOTHER}."
        case "SQLITE_NOTADB":
            return f"The database {file} is a file of another kind, not of SQLite. Move it away, or {ANOTHER}."
    return _any_problem(error, file)


def _postgresql_problem(error: StoreError, code: str, url: URL) -> str:
    place = f"PostgreSQL at {_address(url)}"
    match code:
        case "3D000":
            return f"{place} has no database {url.database}. Create it, or correct CHATKIT_DATABASE_URL."
        case "28P01" | "28000":
            return (
                f"{place} does not let the user {url.username} in: there is no such role, its password is another, or "
                f"it may not use the database {url.database}. Create the role, or correct CHATKIT_DATABASE_URL."
            )
        case "42501":
            return f"The user {url.username} lacks a right in the database {url.database} of {place}: {error}."
        case "53300":
            return f"{place} has no connection left. Raise its max_connections, or run fewer workers."
        case "57P03":
            return f"{place} is starting or stopping. Try again in a moment."
    if isinstance(error.__cause__, OSError):
        return (
            f"The database does not answer: {place}: {network_reason(error.__cause__)}. "
            "See that it runs there and can be reached from here, or correct CHATKIT_DATABASE_URL."
        )
    return _any_problem(error, f"{url.database} of {place}")


def _any_problem(error: StoreError, place: str) -> str:
    text = str(error).rstrip(".")
    if (there := THERE.search(text)) is not None:
        return (
            f"The database {place} has tables that chatkit-server did not make ({there[0]}). Give it a database of "
            f"its own: {ANOTHER}."
        )
    if isinstance(error, SchemaOutdated):
        return f"{text} (database {place})."
    return f"{text}. This is about the database {place}, which CHATKIT_DATABASE_URL names."


def _address(url: URL) -> str:
    """Host and port, or the folder of a Unix socket; never what else is in the URL."""
    host = url.host or url.query.get("host") or "localhost"
    return str(host) if str(host).startswith("/") else f"{host}:{url.port or 5432}"
