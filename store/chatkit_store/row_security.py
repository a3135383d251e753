"""Row-level security on PostgreSQL: a second lock, for a query that forgets its owner filter.

The policies read the parameters that `acting` sets in each transaction: the rows of one user, or those of all for the
server's own work. They also hold for the owner of the tables, but not for superusers and roles with BYPASSRLS.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import OF_SERVER, OF_USER, SCOPE, TENANT, USER
from chatkit_store.errors import translate_errors
from chatkit_store.migrations import lock_schema
from chatkit_store.schema import VIEWS

T = TypeVar("T")

INVOKER_VERSION = (15,)
"""The first version of PostgreSQL whose views can read with the rights of who reads them."""
POLICY = "chatkit_owner"
"""The name of the policy of each table."""

_OWNED = f"user_id = (SELECT current_setting('{USER}', true)) AND tenant = (SELECT current_setting('{TENANT}', true))"


def _part_of(parent: str, column: str) -> str:
    """Return the condition that a row belongs to a row that the parent's own policy shows.

    A scalar query looks up one row. For EXISTS, PostgreSQL may read the whole parent table into a hash first.
    """
    return f"(SELECT true FROM {parent} WHERE {parent}.id = {column})"


CONDITIONS: Mapping[str, str] = {
    "threads": _OWNED,
    "turns": _OWNED,
    "attachments": _OWNED,
    "feedback": _OWNED,
    "sync_actions": _OWNED,
    "deleted_turns": _OWNED,
    "chat_sessions": _OWNED,
    "imported_threads": _OWNED,
    "thread_items": _part_of("threads", "thread_items.thread_id"),
    "paused_runs": _part_of("threads", "paused_runs.thread_id"),
    "approvals": _part_of("threads", "approvals.thread_id"),
    "widget_actions": _part_of("thread_items", "widget_actions.item_id"),
    "turn_events": _part_of("turns", "turn_events.turn_id"),
    "api_keys": "false",
    "deleted_threads": "false",
}
"""When a user may read and write a row of a table. The server's own work may read and write all of them."""

OPEN = frozenset({"workers"})
"""The tables without data of users."""


@dataclass(frozen=True)
class Role:
    """The database role of a connection."""

    name: str
    is_exempt: bool
    """Whether it is a superuser or has BYPASSRLS: no policy applies to it."""


async def protect(engine: AsyncEngine) -> list[str]:
    """Create the policies that are missing or outdated; return the names of the tables, and of views that changed.

    The role must own the tables. Any number of workers may call it at once.
    """
    return await _changed(engine, _protect)


async def unprotect(engine: AsyncEngine) -> list[str]:
    """Remove all policies, and return the names of their tables."""
    return await _changed(engine, _unprotect)


async def unprotected(engine: AsyncEngine) -> list[str]:
    """Return the tables whose policy is missing, outdated or not in force, and the views that pass policies by."""
    return await _read(engine, _unprotected)


async def protected(engine: AsyncEngine) -> list[str]:
    """Return the tables that have a policy."""
    return await _read(engine, lambda connection: sorted(_policies(connection)))


async def role_of(engine: AsyncEngine) -> Role:
    """Return the role that the engine's connections have."""
    return await _read(engine, lambda connection: Role(*connection.execute(_ROLE).one()))


async def _changed(engine: AsyncEngine, change: Callable[[Connection], list[str]]) -> list[str]:
    def work(connection: Connection) -> list[str]:
        with lock_schema(connection):
            return change(connection)

    return await _read(engine, work)


async def _read(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(work)


def _protect(connection: Connection) -> list[str]:
    tables, views = _open_tables(connection), _open_views(connection)
    for table in tables:
        condition = _condition(table)
        for statement in (
            f"DROP POLICY IF EXISTS {POLICY} ON {table}",
            f"CREATE POLICY {POLICY} ON {table} USING ({condition}) WITH CHECK ({condition})",
            f"COMMENT ON POLICY {POLICY} ON {table} IS '{_mark(table)}'",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        ):
            connection.execute(text(statement))
    for view in views:
        connection.execute(text(f"ALTER VIEW {view} SET (security_invoker = true)"))
    return [*tables, *views]


def _unprotect(connection: Connection) -> list[str]:
    tables = sorted(_policies(connection))
    for table in tables:
        for statement in (
            f"DROP POLICY {POLICY} ON {table}",
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        ):
            connection.execute(text(statement))
    if tables and _has_invoker_views(connection):
        for view in VIEWS:
            connection.execute(text(f"ALTER VIEW {view} RESET (security_invoker)"))
    return tables


def _has_invoker_views(connection: Connection) -> bool:
    return (connection.dialect.server_version_info or ()) >= INVOKER_VERSION


def _unprotected(connection: Connection) -> list[str]:
    return [*_open_tables(connection), *_open_views(connection)]


def _open_views(connection: Connection) -> list[str]:
    """Return the views that read with the rights of their owner, who may be a superuser: no policy applies to those."""
    if not _has_invoker_views(connection):
        return []
    return sorted(connection.scalars(_OWNER_VIEWS, {"views": list(VIEWS)}).all())


def _open_tables(connection: Connection) -> list[str]:
    policies = _policies(connection)
    return sorted(table for table in CONDITIONS if policies.get(table) != _mark(table))


def _policies(connection: Connection) -> dict[str, str | None]:
    """Return the mark of each table's policy; None if the table does not enforce it."""
    return {row.table: row.mark if row.is_forced else None for row in connection.execute(_POLICIES)}


def _condition(table: str) -> str:
    """Return the condition of the table's policy.

    The planner takes CASE to hold for half of the rows. It takes an OR to hold for next to none, so it would sort all
    rows of a user instead of reading one page of them in the order of an index.
    """
    scope = f"(SELECT current_setting('{SCOPE}', true))"
    return f"CASE {scope} WHEN '{OF_SERVER}' THEN true WHEN '{OF_USER}' THEN {CONDITIONS[table]} ELSE false END"


def _mark(table: str) -> str:
    """Return a comment that tells whether an existing policy has this version's condition."""
    return "chatkit-server " + hashlib.sha256(_condition(table).encode()).hexdigest()[:16]


_ROLE = text("SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
_OWNER_VIEWS = text(
    "SELECT relname FROM pg_class WHERE relkind = 'v' AND relname = ANY(:views) AND pg_table_is_visible(oid)"
    " AND NOT coalesce('security_invoker=true' = ANY(reloptions), false)"
)
_POLICIES = text(
    "SELECT relation.relname AS table, obj_description(policy.oid, 'pg_policy') AS mark,"
    " relation.relrowsecurity AND relation.relforcerowsecurity AS is_forced"
    " FROM pg_policy policy JOIN pg_class relation ON relation.oid = policy.polrelid"
    f" WHERE policy.polname = '{POLICY}' AND pg_table_is_visible(relation.oid)"
)
