"""Limits of what a user may start, checked in the transaction that starts a turn, so that they hold over all workers.

A turn counts from its start, however it ends, and also after its thread was deleted (`deleted_turns`): no limit is
reset by deleting, nor by another session or another browser tab.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnClause,
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Subquery,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    union_all,
    update,
)

from chatkit_store.acting import for_all_users
from chatkit_store.columns import CleanText, UtcDateTime
from chatkit_store.errors import LimitReached
from chatkit_store.owner import HasUser, owned, owner_of, owner_values
from chatkit_store.tables import RUNNING, deleted_turns, thread_items, threads, turns

MINUTE = timedelta(minutes=1)
COUNTED = timedelta(days=1)
"""How long a turn counts at most: a day of tokens in UTC is the longest window."""

t, d = turns.c, deleted_turns.c


@dataclass(frozen=True)
class TurnLimits:
    """What applies to one request; None for no limit. Days are those of UTC."""

    threads_per_user: int | None = None
    items_per_thread: int | None = None
    tokens_per_day: int | None = None
    """Of turns that have ended: how many a running one uses is known at its end."""
    turns_per_minute: int | None = None
    turns_per_minute_of_session: int | None = None
    """Of those whose `session_id` the new turn has."""
    turns_per_minute_of_address: int | None = None
    """Of those whose `address_key` the new turn has, of any user."""
    running_turns: int | None = None
    """Without the one on the same thread, which the new turn replaces."""

    def in_use(self) -> dict[str, int]:
        """Return the limits by name, without those that are None."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}

    @cached_property
    def is_used(self) -> bool:
        """Whether there is any limit."""
        return bool(self.in_use())


@dataclass(frozen=True)
class Starter:
    """The turn that would start, as far as limits are concerned."""

    thread_id: str
    is_new_thread: bool = False
    session_id: str | None = None
    address_key: str | None = None


def serialize(connection: Connection, dialect: str, limits: TurnLimits, starter: Starter, context: HasUser) -> None:
    """Let no other transaction start a turn of this owner, or of this address, until the end of this one.

    To be called first, before any row is locked: every transaction takes these locks in this order, so none can wait
    for another in a circle. SQLite has one writer.
    """
    if dialect != "postgresql" or not limits.is_used:
        return
    if limits.turns_per_minute_of_address is not None and starter.address_key is not None:
        connection.execute(_LOCK, {"number": _number("address", starter.address_key)})
    connection.execute(_LOCK, {"number": _number("owner", *owner_of(context))})


def lock_owner(connection: Connection, dialect: str, context: HasUser) -> None:
    """Let no other transaction do the same for this owner until the end of this one."""
    if dialect == "postgresql":
        connection.execute(_LOCK, {"number": _number("owner", *owner_of(context))})


def check(
    connection: Connection, limits: TurnLimits, starter: Starter, context: HasUser, *, is_written: bool = True
) -> None:
    """Raise `LimitReached` if the turn may not start: in one query, or none without a limit.

    `is_written` says whether its thread and its first items are already in the database.
    """
    if not limits.is_used or not (kinds := _applicable(limits, starter)):
        return
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "thread": starter.thread_id,
        "session": starter.session_id,
        "address": starter.address_key,
        "minute_ago": now - MINUTE,
        "midnight": midnight(now),
        **owner_values(context),
    }
    for kind, limit in kinds.items():
        values[f"limit_{kind}"] = limit
        values[f"before_{kind}"] = limit - (not is_written) if kind in _WRITTEN else limit - 1
    with for_all_users(connection) if "turns_per_minute_of_address" in kinds else nullcontext():
        answers = dict(zip(kinds, connection.execute(_question(tuple(kinds)), values).one(), strict=True))
    reached = [_reached(kind, limit, answers[kind], now) for kind, limit in kinds.items()]
    faults = [fault for fault in reached if fault is not None]
    if faults:
        raise max(faults, key=lambda fault: fault.until or datetime.max.replace(tzinfo=UTC))


def midnight(now: datetime) -> datetime:
    """Return the start of the day in UTC."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def keep_deleted(connection: Connection, thread_id: str, context: HasUser) -> None:
    """Copy the young turns of a thread that is about to be deleted. Its row must be locked."""
    values = {"thread": thread_id, **owner_values(context), "since": datetime.now(UTC) - COUNTED}
    connection.execute(_KEEP, values)


def forget_old(connection: Connection) -> None:
    """Delete what no limit counts any more."""
    now = datetime.now(UTC)
    connection.execute(_FORGET_TURNS, {"since": now - COUNTED})
    connection.execute(_FORGET_ADDRESSES, {"since": now - MINUTE})


def tenant_tokens(connection: Connection, tenant: str, since: datetime) -> int:
    """Return the tokens of all turns of a tenant that started since then."""
    return int(connection.scalar(_TENANT_TOKENS, {"of_tenant": tenant, "since": since}) or 0)


def _applicable(limits: TurnLimits, starter: Starter) -> dict[str, int]:
    kinds = limits.in_use()
    for kind, has_subject in (
        ("turns_per_minute_of_session", starter.session_id is not None),
        ("turns_per_minute_of_address", starter.address_key is not None),
        ("threads_per_user", starter.is_new_thread),
        ("items_per_thread", not starter.is_new_thread),
    ):
        if not has_subject:
            kinds.pop(kind, None)
    return kinds


def _reached(kind: str, limit: int, answer: Any, now: datetime) -> LimitReached | None:
    """Return the error if the answer to the limit's question says that it is reached."""
    match kind:
        case "turns_per_minute" | "turns_per_minute_of_session" | "turns_per_minute_of_address":
            return None if answer is None else LimitReached(kind, limit, answer + MINUTE)
        case "tokens_per_day":
            is_reached = (answer or 0) >= limit
            return LimitReached(kind, limit, midnight(now) + timedelta(days=1)) if is_reached else None
        case _:
            return None if answer is None else LimitReached(kind, limit, None)


def _number(*names: str) -> int:
    digest = hashlib.blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


_LOCK = select(func.pg_advisory_xact_lock(bindparam("number", type_=BigInteger)))

# Each limit has a question. Of turns, and of threads and items, it is whether there is one at the place of the limit:
# an index is read up to there, however many there are.


def _place(kind: str) -> ColumnElement[int]:
    return bindparam(f"before_{kind}", type_=BigInteger)


def _newest(table: Table, kind: str, *conditions: ColumnElement[bool]) -> Subquery:
    started_at = table.c.started_at
    return (
        select(started_at)
        .where(*conditions, started_at > bindparam("minute_ago", type_=UtcDateTime))
        .order_by(started_at.desc())
        .limit(bindparam(f"limit_{kind}", type_=BigInteger))
        .subquery()
    )


def _nth_newest(kind: str, *parts: Subquery) -> Select[Any]:
    """Ask when the turn started whose leaving the window makes room for the next one."""
    both = union_all(*(select(part.c.started_at) for part in parts)).subquery()
    return select(both.c.started_at).order_by(both.c.started_at.desc()).limit(1).offset(_place(kind))


def _rate(kind: str, column: str | None = None, value: str = "") -> Select[Any]:
    parts = []
    for table in (turns, deleted_turns):
        of_whom = [] if column == "address_key" else [owned(table)]
        if column is not None:
            of_whom.append(table.c[column] == bindparam(value, type_=CleanText))
        parts.append(_newest(table, kind, *of_whom))
    return _nth_newest(kind, *parts)


def _tokens(*conditions_of: tuple[Table, ColumnElement[bool]]) -> Iterator[Select[Any]]:
    for table, condition in conditions_of:
        used = func.coalesce(t.input_tokens, 0) + func.coalesce(t.output_tokens, 0) if table is turns else d.tokens
        yield select(func.coalesce(func.sum(used), 0).label("tokens")).where(condition)


def _sum(parts: Iterator[Select[Any]]) -> ColumnElement[Any]:
    first, second = (part.scalar_subquery() for part in parts)
    return first + second


_of_day = bindparam("midnight", type_=UtcDateTime)
_DAY = _sum(
    _tokens(
        (turns, owned(turns) & (t.started_at >= _of_day)),
        (deleted_turns, owned(deleted_turns) & (d.started_at >= _of_day)),
    )
)
_LAST_POSITION = (
    select(threads.c.last_position).where(threads.c.id == bindparam("thread"), owned(threads)).scalar_subquery()
)
"""Never less than the number of items, so that those of most threads need not be counted.

Only of the user's own thread: that of another user must not differ from one that does not exist.
"""
_NTH_ITEM = (
    select(thread_items.c.position)
    .where(thread_items.c.thread_id == bindparam("thread"))
    .order_by(thread_items.c.position)
    .limit(1)
    .offset(_place("items_per_thread"))
    .scalar_subquery()
)
_QUESTIONS: Mapping[str, ScalarSelect[Any] | ColumnElement[Any]] = {
    "threads_per_user": select(threads.c.position)
    .where(owned(threads))
    .order_by(threads.c.position)
    .limit(1)
    .offset(_place("threads_per_user"))
    .scalar_subquery(),
    "items_per_thread": case((_LAST_POSITION > _place("items_per_thread"), _NTH_ITEM)),
    "tokens_per_day": _DAY,
    "turns_per_minute": _rate("turns_per_minute").scalar_subquery(),
    "turns_per_minute_of_session": _rate("turns_per_minute_of_session", "session_id", "session").scalar_subquery(),
    "turns_per_minute_of_address": _rate("turns_per_minute_of_address", "address_key", "address").scalar_subquery(),
    "running_turns": select(t.started_at)
    .where(owned(turns), t.status == RUNNING, t.thread_id != bindparam("thread"))
    .limit(1)
    .offset(_place("running_turns"))
    .scalar_subquery(),
}
_WRITTEN: frozenset[str] = frozenset({"threads_per_user", "items_per_thread"})
"""Limits of rows: the new turn's own are already there when the start of a turn checks them."""


@cache
def _question(kinds: tuple[str, ...]) -> Select[Any]:
    return select(*(_QUESTIONS[kind].label(kind) for kind in kinds))


_since = bindparam("since", type_=UtcDateTime)
_KEPT = (d.id, d.tenant, d.user_id, d.session_id, d.address_key, d.started_at, d.tokens)
_KEEP = insert(deleted_turns).from_select(
    [column.name for column in _KEPT],
    select(
        t.id,
        t.tenant,
        t.user_id,
        t.session_id,
        t.address_key,
        t.started_at,
        func.coalesce(t.input_tokens, 0) + func.coalesce(t.output_tokens, 0),
    ).where(t.thread_id == bindparam("thread"), t.started_at > _since, owned(turns)),
)
_FORGET_TURNS = delete(deleted_turns).where(d.started_at <= _since)
_FORGET_ADDRESSES = update(turns).where(t.address_key.is_not(None), t.started_at <= _since).values(address_key=None)
_of_tenant = bindparam("of_tenant", type_=CleanText)
_NONE: ColumnClause[str] = literal_column(
    "''"
)  # not a parameter: the indexes of tenants' turns only serve statements that say this
_TENANT_TOKENS = select(
    _sum(
        _tokens(
            (turns, (t.tenant == _of_tenant) & (t.tenant != _NONE) & (t.started_at >= _since)),
            (deleted_turns, (d.tenant == _of_tenant) & (d.tenant != _NONE) & (d.started_at >= _since)),
        )
    )
)
