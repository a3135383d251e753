"""Sums over rows of a history, by which a later read sees that one was added, removed or changed.

They take in the number of rows, their order, how many bytes their JSON has, and the part of their times below a minute:
each write of a store sets a time. They do not compare clocks, because those of two workers may differ. A change by hand
shows if it sets `updated_at`, or if it changes the length of the JSON.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, cast, func, literal, literal_column

from chatkit_store.database import AnyRow
from chatkit_store.tables import thread_items, turns

Sums = tuple[int, ...]
"""The number of rows, and the sum of each figure."""


@cache
def figures_of_items(dialect: str) -> tuple[ColumnElement[int], ...]:
    """Return the figures of an item: where it is, when it was written last, and how long it is."""
    return thread_items.c.position, _time("thread_items.updated_at", dialect), _bytes("thread_items.payload", dialect)


@cache
def figures_of_turns(dialect: str) -> tuple[ColumnElement[int], ...]:
    """Return the figures of a turn: when it started and ended, how long its transcript is, its status and message."""
    return (
        _time("turns.started_at", dialect),
        _time("turns.ended_at", dialect),
        _bytes("turns.transcript", dialect),
        func.length(turns.c.status) + func.length(func.coalesce(turns.c.user_item_id, "")),
    )


def text_of_sums(figures: Sequence[ColumnElement[int]]) -> ColumnElement[Any]:
    """Return the expression that is `text_of` of the sums of all rows."""
    text: ColumnElement[Any] = cast(func.count(), Text)
    for figure in figures:
        text = text.concat(literal(":", Text)).concat(cast(func.coalesce(func.sum(figure), 0), Text))
    return text


def text_of(sums: Sums) -> str:
    """Return the sums as a text."""
    return ":".join(map(str, sums))


def sums_of(rows: Iterable[AnyRow], count: int) -> Sums:
    """Return the sums of rows whose last columns are `figure_0` to `figure_N` of that many figures."""
    figures = [tuple(row._mapping[f"figure_{index}"] for index in range(count)) for row in rows]
    return len(figures), *(sum(figure[index] for figure in figures) for index in range(count))


def _time(column: str, dialect: str) -> ColumnElement[int]:
    """Return the microseconds since the minute; 0 for NULL."""
    if dialect == "sqlite":
        text = f"CAST(substr({column}, 18, 2) || substr({column}, 21, 6) AS INTEGER)"
    else:
        text = f"CAST(extract(microseconds FROM {column}) AS bigint)"
    return func.coalesce(literal_column(text, BigInteger), 0)


def _bytes(column: str, dialect: str) -> ColumnElement[int]:
    text = f"length(CAST({column} AS blob))" if dialect == "sqlite" else f"octet_length(CAST({column} AS text))"
    return func.coalesce(literal_column(text, BigInteger), 0)
