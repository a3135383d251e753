"""Whether the database answers, has this version's tables and can be written."""

from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SchemaUnknown, StoreError
from chatkit_store.migrations import pending, schema_problem, taken_names
from chatkit_store.sessions import sessions_of
from chatkit_store.usable import unwritable

from ...errors.database_problem import explain_database_error, missing_folder
from ...services import Services
from ..schema import row_security_problem
from .finding import Finding
from .folder_findings import obstacle

APART = "Use another database, or on PostgreSQL set CHATKIT_DATABASE_SCHEMA"

ONE_WORKER = (
    "it serves one worker on one machine, and each restart interrupts the chat. PostgreSQL serves several; or back "
    "this file up, and ignore this"
)


async def examine_database(services: Services) -> Finding:
    """Return what is to be said of the database. Creates no file."""
    kind = services.engine.dialect.name
    if (file := missing_file(services.engine.url)) is not None:
        if (folder := missing_folder(file)) is not None:
            return Finding("database", f"{file} cannot be created: the folder {folder} does not exist", "WRONG")
        if (reason := obstacle(Path(file).parent)) is not None:
            text = f"{file} cannot be created ({reason}). Let this user write the folder, or set CHATKIT_DATABASE_URL"
            return Finding("database", text, "WRONG")
        if services.settings.environment == "production":
            return Finding("database", f"{file} does not exist; run `chatkit-server migrate`", "WRONG")
        return Finding("database", f"{file} does not exist yet; the server creates it when it first starts")
    try:
        missing, foreign_tables = await pending(services.engine), await taken_names(services.engine)
        problem = None if missing else await _problem(services)
    except SchemaUnknown as error:
        return Finding("database", str(error), "WRONG")
    except StoreError as error:
        return Finding("database", explain_database_error(error, services.engine.url), "WRONG")
    if foreign_tables:
        foreign = ", ".join(foreign_tables)
        return Finding(
            "database", f"{kind}, has tables that chatkit-server did not create ({foreign}). {APART}", "WRONG"
        )
    if problem is not None:
        return Finding("database", problem, "WRONG")
    if not missing:
        guarded = ", with row-level security" if services.settings.row_security else ""
        text = f"{kind}{_sessions(services.engine)}, up to date{guarded}"
        if kind == "sqlite" and services.settings.environment == "production":
            return Finding("database", f"{text}; {ONE_WORKER}", "WARN")
        return Finding("database", text)
    text = f"{kind}, lacks {len(missing)} migration(s)"
    if services.settings.environment == "production":
        return Finding("database", f"{text}: run `chatkit-server migrate`", "WRONG")
    return Finding("database", f"{text}, which the server applies when it starts")


async def _problem(services: Services) -> str | None:
    """Return what keeps a migrated database from being used, and what to do; or None."""
    engine = services.engine
    if (problem := await schema_problem(engine)) is not None:
        return problem
    if (reason := await unwritable(engine)) is not None:
        return f"{engine.dialect.name} {reason}"
    return await row_security_problem(engine, services.settings)


def _sessions(engine: AsyncEngine) -> str:
    """Return the schema of the tables, if it was named, and whether a pooler is in front of the database."""
    sessions = sessions_of(engine)
    if sessions is None:
        return ""
    schema = f", schema {sessions.schema}" if sessions.schema else ""
    return schema + (", behind PgBouncer or another pooler" if sessions.is_pooled else "")


def missing_file(url: URL) -> str | None:
    """Return the SQLite file if it does not exist; connecting would create it."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return url.database if is_file and not Path(str(url.database)).exists() else None
