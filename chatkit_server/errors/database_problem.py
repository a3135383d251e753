"""Advice on database errors for administrators: where the database is, why it fails, and what to do next.

The texts name the host, port, database and user of PostgreSQL, or the file of SQLite; never a password.
"""

import re
import ssl
from pathlib import Path

from sqlalchemy import URL

from chatkit_store import SchemaOutdated, StoreError
from chatkit_store.errors import code_of
from chatkit_store.libpq import PORT

from .network import network_reason

ANOTHER = "set CHATKIT_DATABASE_URL to another one"
NAME_TAKEN = re.compile(r"(?:table|relation|index) \S+ already exists")
"""How drivers report an existing table or index."""
REFUSED_PARAMETER = re.compile(r"unsupported startup parameter: (\w+)")
"""How PgBouncer reports what it does not pass on."""
NO_SUCH_SERVER = "TargetServerAttributeNotMatched"

BRIEF = {
    "3D000": "does not exist in PostgreSQL",
    "28P01": "refuses this server's user or password",
    "28000": "refuses this server's user or password",
    "53300": "has no connection left",
    "55000": "accepts no connections",
    "57P01": "was shut down",
    "57P03": "is starting or stopping",
    "SQLITE_BUSY": "is locked by another process",
    "SQLITE_CANTOPEN": "file cannot be opened",
    "SQLITE_CORRUPT": "file is damaged",
    "SQLITE_FULL": "has no space left on its disk",
    "SQLITE_READONLY": "file cannot be written",
}


def explain_database_error(error: StoreError, url: URL) -> str:
    """Return one or two sentences on `error` from the database at `url`, with what to do next."""
    code = code_of(error)
    if url.get_backend_name() == "sqlite":
        return _sqlite_problem(error, code, str(Path(url.database).absolute()) if url.database else "in memory")
    return _postgresql_problem(error, code, url)


def summarize_database_error(error: StoreError) -> str:
    """Return the reason without names or addresses, for `/readyz`, which anyone can call."""
    if isinstance(error.__cause__, OSError):
        reason = f"The database does not answer: {network_reason(error.__cause__)}."
    else:
        code = code_of(error)
        reason = f"The database {BRIEF.get(code) or f'cannot be used ({code or type(error.__cause__).__name__})'}."
    return f"{reason} The server's log says more, and so does `chatkit-server doctor`."


def missing_folder(file: str) -> str | None:
    """Return the folder that a SQLite file needs, if it does not exist."""
    folder = Path(file).absolute().parent
    return None if folder.is_dir() else str(folder)


def _sqlite_problem(error: StoreError, code: str, file: str) -> str:
    match code:
        case "SQLITE_CANTOPEN" if (folder := missing_folder(file)) is not None:
            return f"The database {file} cannot be opened: the folder {folder} does not exist. Create it, or {ANOTHER}."
        case "SQLITE_CANTOPEN":
            return (
                f"The database {file} cannot be opened. Make sure that it is a file this user may write, or {ANOTHER}."
            )
        case "SQLITE_READONLY" | "SQLITE_READONLY_DIRECTORY":
            return f"The database {file} cannot be written. Let this user write the file and its folder, or {ANOTHER}."
        case "SQLITE_NOTADB":
            return f"The database {file} is not a SQLite file. Move it away, or {ANOTHER}."
    return _any_problem(error, file)


def _postgresql_problem(error: StoreError, code: str, url: URL) -> str:
    place = f"PostgreSQL at {_address(url)}"
    match code:
        case "3D000":
            return f"{place} has no database {url.database}. Create it, or correct CHATKIT_DATABASE_URL."
        case "28000" if "no encryption" in str(error):
            return f"{place} accepts only encrypted connections. Put sslmode=require into CHATKIT_DATABASE_URL."
        case "28P01" | "28000":
            return (
                f"{place} rejects the user {url.username}: the role does not exist, the password is wrong, or the role "
                f"may not use the database {url.database}. Create the role, or correct CHATKIT_DATABASE_URL."
            )
        case "42501":
            return f"The user {url.username} lacks a privilege in the database {url.database} of {place}: {error}."
        case "53300":
            return f"{place} has no connection left. Raise its max_connections, or run fewer workers."
        case "57P03":
            return f"{place} is starting or stopping. Try again in a moment."
        case "08P01" if (match := REFUSED_PARAMETER.search(str(error))) is not None:
            return (
                f"PgBouncer at {_address(url)} refuses the parameter {match[1]}. Remove it from CHATKIT_DATABASE_URL; "
                f"ALTER ROLE {url.username} SET ... sets it for the role. Or let PgBouncer ignore it: "
                f"ignore_startup_parameters = {match[1]}."
            )
    if NO_SUCH_SERVER in str(error):
        return f"{place} is not what target_session_attrs in CHATKIT_DATABASE_URL asks for. Name another, or remove it."
    if "rejected SSL upgrade" in str(error.__cause__):
        return (
            f"{place} has no TLS, which sslmode demands. Set up a certificate there, or correct CHATKIT_DATABASE_URL."
        )
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return (
            f"{place} cannot be trusted: {network_reason(error.__cause__)}. Name its provider's certificate as "
            "sslrootcert in CHATKIT_DATABASE_URL, and the host by the name in the certificate."
        )
    if isinstance(error.__cause__, OSError):
        return (
            f"The database does not answer: {place}: {network_reason(error.__cause__)}. "
            "Make sure that it runs there and can be reached from here, or correct CHATKIT_DATABASE_URL."
        )
    return _any_problem(error, f"{url.database} of {place}")


def _any_problem(error: StoreError, place: str) -> str:
    text = str(error).rstrip(".")
    if (match := NAME_TAKEN.search(text)) is not None:
        return (
            f"The database {place} has tables that chatkit-server did not create ({match[0]}). Use a separate "
            f"database: {ANOTHER}. Or, on PostgreSQL, use a schema of its own: set CHATKIT_DATABASE_SCHEMA."
        )
    if isinstance(error, SchemaOutdated):
        return f"{text} (database {place})."
    return f"{text} (database {place}, from CHATKIT_DATABASE_URL)."


def _address(url: URL) -> str:
    """Return host and port, or the folder of a Unix socket."""
    host, port = url.host or str(url.query.get("host") or "localhost"), url.port or url.query.get("port") or PORT
    if "," in host:
        return " or ".join(_place(*place) for place in zip(host.split(","), str(port).split(","), strict=False))
    return _place(host, port)


def _place(host: str, port: object) -> str:
    if host.startswith("/"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
