"""Keyset pages by position, limited in entries and bytes.

The cursor is an id, so equal times cannot lose or repeat a row. A page has at least one entry, however large, so that
its reader gets past it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from chatkit.types import Page
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
)

from chatkit_store.acting import Actor
from chatkit_store.database import AnyRow, Database

T = TypeVar("T")

MAX_LIMIT = 500
PAGE_BYTES = 1024 * 1024
"""How many bytes of rows fit on a page; more than a thousand messages of usual length."""


def clamp(limit: int) -> int:
    """Return `limit` as 1 to 500: clients may send any number (T38)."""
    return max(1, min(limit, MAX_LIMIT))


def row_bytes(row: AnyRow) -> int:
    """Return how many bytes the texts of a row have."""
    texts = (value for value in row if isinstance(value, str))
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)


def rows_within(rows: Iterable[AnyRow], limit: int) -> tuple[list[AnyRow], bool]:
    """Return the rows up to the first with which they exceed `limit` bytes, and whether there is one.

    SQLite reads a row when it is asked for, so it never reads the others.
    """
    taken: list[AnyRow] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += row_bytes(row)
        if size > limit:
            return taken, True
    return taken, False


def limit_bytes(query: Select[Any], order: ColumnElement[Any], large: Sequence[Column[Any]]) -> Select[Any]:
    """Return the query without the rows behind the first with which the `large` columns exceed PAGE_BYTES.

    For PostgreSQL, whose driver reads all rows of a result.
    """
    sizes = [func.coalesce(func.octet_length(cast(column, Text)), 0) for column in large]
    size = sum(sizes[1:], sizes[0])
    before = func.sum(size).over(order_by=order, rows=(None, -1)).label("bytes_before")
    sized = query.add_columns(before, func.row_number().over(order_by=order).label("row_in_order")).subquery()
    columns = [column for column in sized.c if column.name not in ("bytes_before", "row_in_order")]
    return select(*columns).where(func.coalesce(sized.c.bytes_before, 0) <= PAGE_BYTES).order_by(sized.c.row_in_order)


class Pages:
    """Pages of a query whose rows have `id` and `position`; its statements are built once.

    `cursor` selects the position of the id in the parameter `after`. `large` are the columns that may be long.
    """

    def __init__(
        self, query: Select[Any], position: Column[int], cursor: ColumnElement[int], large: Sequence[Column[Any]]
    ) -> None:
        count = bindparam("count", type_=BigInteger)
        starts = {"first": None, "after": cursor, "position": bindparam("position", type_=BigInteger)}
        self._statements: dict[tuple[str, bool, str], Select[Any]] = {}
        for name, start in starts.items():
            up = query if start is None else query.where(position > start)
            down = query if start is None else query.where(position < start)
            for ascending, rows, order in ((True, up, position.asc()), (False, down, position.desc())):
                page = rows.order_by(order).limit(count)
                self._statements["sqlite", ascending, name] = page
                self._statements["postgresql", ascending, name] = limit_bytes(page, order, large)

    async def load(
        self,
        database: Database,
        actor: Actor,
        values: Mapping[str, Any],
        after: str | None,
        limit: int,
        order: str,
        read: Callable[[AnyRow], T | None],
        explain: Callable[[Connection], None],
    ) -> Page[T]:
        """Return a new page (T29) of up to `limit` entries, oldest first if `order` is `asc`, else newest first.

        It has fewer if they would exceed PAGE_BYTES. Rows for which `read` returns None are skipped and replaced by
        later ones. The page's cursor is its last entry, so that the next page continues after what the client has seen.
        `explain` is called for an empty page and may raise.
        """
        entries: list[tuple[str, T]] = []
        has_more, size = False, 0
        start, count = {"after": after}, clamp(limit) + 1
        kind = "first" if after is None else "after"

        def fetch(connection: Connection) -> tuple[Sequence[AnyRow], bool]:
            statement = self._statements[database.dialect, order == "asc", kind]
            with connection.execute(statement, {**values, **start, "count": count}) as result:
                rows, is_cut = rows_within(result, PAGE_BYTES)
            if not rows and kind != "position":
                explain(connection)
            return rows, is_cut

        while True:  # usually once
            rows, is_cut = await database.read(fetch, actor)
            for row in rows:
                if (entry := read(row)) is None:
                    continue
                size += row_bytes(row)
                has_more = bool(entries) and (len(entries) == clamp(limit) or size > PAGE_BYTES)
                if has_more:
                    break
                entries.append((row.id, entry))
            if has_more or (len(rows) < count and not is_cut):
                break
            kind, start, count = "position", {"position": rows[-1].position}, clamp(limit) + 1 - len(entries)
        after = entries[-1][0] if has_more else None
        return Page(data=[entry for _, entry in entries], has_more=has_more, after=after)
