"""Keyset pages by position. The cursor is an id, so equal times cannot lose or repeat a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chatkit.types import Page
from sqlalchemy import BigInteger, Column, Connection, ScalarSelect, Select, bindparam

from chatkit_store.database import AnyRow, Database

T = TypeVar("T")

MAX_LIMIT = 500


def clamp(limit: int) -> int:
    """Return `limit` as 1 to 500: clients may send any number (T38)."""
    return max(1, min(limit, MAX_LIMIT))


class Pages:
    """Pages of a query whose rows have `id` and `position`; its statements are built once.

    `cursor` selects the position of the id in the parameter `after`.
    """

    def __init__(self, query: Select[Any], position: Column[int], cursor: ScalarSelect[int]) -> None:
        count = bindparam("count", type_=BigInteger)
        starts = {"first": None, "after": cursor, "position": bindparam("position", type_=BigInteger)}
        self._statements: dict[tuple[bool, str], Select[Any]] = {}
        for name, start in starts.items():
            up = query if start is None else query.where(position > start)
            down = query if start is None else query.where(position < start)
            self._statements[True, name] = up.order_by(position).limit(count)
            self._statements[False, name] = down.order_by(position.desc()).limit(count)

    async def load(
        self,
        database: Database,
        values: Mapping[str, Any],
        after: str | None,
        limit: int,
        order: str,
        read: Callable[[AnyRow], T | None],
        explain: Callable[[Connection], None],
    ) -> Page[T]:
        """Return a new page (T29) of up to `limit` entries, oldest first if `order` is `asc`, else newest first.

        Rows for which `read` returns None are skipped and replaced by later ones. The page's cursor is its last entry,
        so that the next page continues after what the client has seen. `explain` is called for an empty page and may
        raise.
        """
        entries: list[tuple[str, T]] = []
        start, count = {"after": after}, clamp(limit) + 1
        kind = "first" if after is None else "after"

        def fetch(connection: Connection) -> Sequence[AnyRow]:
            statement = self._statements[order == "asc", kind]
            rows: Sequence[AnyRow] = connection.execute(statement, {**values, **start, "count": count}).all()
            if not rows and kind != "position":
                explain(connection)
            return rows

        while count > 0:  # usually once
            rows = await database.read(fetch)
            entries += [(row.id, entry) for row in rows if (entry := read(row)) is not None]
            if len(rows) < count:
                break
            kind, start, count = "position", {"position": rows[-1].position}, clamp(limit) + 1 - len(entries)
        page = entries[: clamp(limit)]
        has_more = len(entries) > len(page)
        return Page(data=[entry for _, entry in page], has_more=has_more, after=page[-1][0] if has_more else None)
