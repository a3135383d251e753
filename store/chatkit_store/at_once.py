"""The transactions of a plain turn as one statement each: on PostgreSQL, one round trip instead of five.

Each is for the case that nearly every turn is: one message, one answer, nothing unusual. It changes nothing in any
other case, or fails as a whole; then the caller runs the transaction with a statement per step, which finds out why.
Within one statement, PostgreSQL runs the parts in any order, on one snapshot: a part sees of another only what that
returns. Foreign keys are checked at its end.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, exists, insert, select, true
from sqlalchemy.sql.expression import CTE, ColumnElement

from chatkit_store import approvals, items, notices
from chatkit_store.database import insert_into
from chatkit_store.owner import HasUser, owner_values
from chatkit_store.tables import thread_items, threads, turns

Columns = Mapping[str, Any]
Write = tuple[Any, dict[str, Any]]
"""A statement and its parameters."""
Names = tuple[str, ...]


def is_plain(rows: Sequence[Columns]) -> bool:
    """Return whether these are the rows of one item that has no rows in other tables."""
    return len(rows) == 1 and rows[0]["type"] != "widget"


def start(
    turn: Columns, new_thread: Columns | None, rows: Sequence[Columns], seen: int | None, context: HasUser
) -> Write | None:
    """Return what starts a turn of one message: with a new thread, or in one that is at the position `seen`.

    In an existing thread, paused runs expire. The rows have the `id` of each removed notice, or None if there was none;
    without a row, nothing was written. Returns None for any other turn.
    """
    if not is_plain(rows) or (new_thread is None and seen is None):
        return None
    item = {**rows[0], "updated_at": datetime.now(UTC)}
    if new_thread is not None:
        item |= {"position": 1}
        statement = _start_thread(tuple(new_thread), tuple(item), tuple(turn))
        return statement, _named("thread", new_thread) | _named("item", item) | _named("turn", turn)
    values = _taking(turn["thread_id"], context) | {"seen": seen}
    return _start_turn(tuple(item), tuple(turn)), values | _named("item", item) | _named("turn", turn)


def add(thread_id: str, row: Columns, turn_id: str, worker_id: str, context: HasUser) -> Write:
    """Return what writes an item of a turn that the worker runs. Without a row, it was not written."""
    item = {**row, "updated_at": datetime.now(UTC)}
    values = _taking(thread_id, context) | {"turn": turn_id, "worker": worker_id}
    return _add(tuple(item)), values | _named("item", item)


def end(columns: Columns, values: Columns, ending: Any, lock: Any) -> Write:
    """Return what sets these columns of a turn, and deletes its unfinished items; without a row, nothing was changed.

    `lock` is the statement that locks the thread, `ending` the one that changes the turn; `values` are for both.
    """
    return _end(tuple(columns), ending, lock), {**values, **_named("set", columns)}


def end_with(row: Columns, columns: Columns, values: Columns, ending: Any, context: HasUser) -> Write:
    """Return what writes the last item of a running turn and does what `end` does; without a row, nothing was changed.

    The item's row may reserve its position already. If another thread has its id, or another worker has just adopted
    the turn, a position is given out in vain.
    """
    item = {**row, "updated_at": datetime.now(UTC)}
    parameters = {**values, **_taking(row["thread_id"], context), **_named("set", columns), **_named("item", item)}
    return _end_with(tuple(item), tuple(columns), ending), parameters


@cache
def _start_thread(thread: Names, item: Names, turn: Names) -> Any:
    new_thread = insert(threads).values(dict(zip(thread, _parameters("thread", threads, thread), strict=True)))
    created = new_thread.returning(threads.c.id).cte("created")
    added = _inserted(thread_items, "item", item, created).cte("added")
    return _inserted(turns, "turn", turn, created).returning(turns.c.id).add_cte(added)


@cache
def _start_turn(item: Names, turn: Names) -> Any:
    place = items.TAKE_POSITIONS.where(threads.c.last_position == bindparam("seen")).cte("place")
    is_taken = exists(select(place.c.last_position))
    expired = approvals.EXPIRE.where(is_taken).cte("expired")
    gone = notices.REMOVE.where(is_taken).cte("gone")
    added = _inserted(thread_items, "item", item, place, position=place.c.last_position).cte("added")
    started = _inserted(turns, "turn", turn, place).returning(turns.c.id).cte("started")
    return select(gone.c.id).select_from(started.outerjoin(gone, true())).add_cte(expired, added)


@cache
def _add(item: Names) -> Any:
    place = items.TAKE_FOR_TURN.cte("taken")
    return items.updating(_inserted(thread_items, "item", item, place, position=place.c.last_position))


@cache
def _end(columns: Names, ending: Any, lock: Any) -> Any:
    locked = lock.cte("locked")
    values = dict(zip(columns, _parameters("set", turns, columns), strict=True))
    ended = ending.values(values).where(exists(select(locked.c.id))).cte("ended")
    rest = items.UNFINISHED.where(exists(select(ended.c.thread_id))).cte("rest")
    return select(ended.c.thread_id).add_cte(rest)


@cache
def _end_with(item: Names, columns: Names, ending: Any) -> Any:
    of_turn = select(turns.c.thread_id).where(turns.c.id == bindparam("turn")).scalar_subquery()
    place = items.take_for_turn(threads.c.id == of_turn).cte("taken")
    row = _inserted(thread_items, "item", item, place, position=place.c.last_position)
    added = items.updating(row).cte("added")
    values = dict(zip(columns, _parameters("set", turns, columns), strict=True))
    ended = ending.values(values).where(exists(select(added.c.id))).cte("ended")
    others = items.UNFINISHED.where(thread_items.c.id != bindparam("item_id"))
    rest = others.where(exists(select(ended.c.thread_id))).cte("rest")
    return select(ended.c.thread_id).add_cte(rest)


def _inserted(table: Table, prefix: str, names: Names, after: CTE, **more: ColumnElement[Any]) -> Any:
    """Return an INSERT of one row of parameters, and of what `after` returned, if that is a row."""
    row = select(*_parameters(prefix, table, names), *more.values()).select_from(after)
    return insert_into(table, "postgresql").from_select([*names, *more], row)


def _parameters(prefix: str, table: Table, names: Names) -> list[ColumnElement[Any]]:
    return [bindparam(f"{prefix}_{name}", type_=table.c[name].type) for name in names]


def _named(prefix: str, row: Columns) -> dict[str, Any]:
    """Return the parameters for the columns of a row: tables have columns of the same name."""
    return {f"{prefix}_{name}": value for name, value in row.items()}


def _taking(thread_id: str, context: HasUser) -> dict[str, Any]:
    """Return the parameters of the position of one item."""
    return {"thread": thread_id, **owner_values(context), "count": 1, "now": datetime.now(UTC)}
