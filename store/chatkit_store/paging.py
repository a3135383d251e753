"""Keyset pages by position: the cursor is an id, so equal times can neither lose nor repeat anything."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chatkit.types import Page
from sqlalchemy import BigInteger, Column, Connection, ScalarSelect, Select, bindparam

from chatkit_store.database import AnyRow, Database

T = TypeVar("T")

MAX_LIMIT = 500


def clamp(limit: int) -> int:
    """What a client may ask for: 1 to 500, whatever it sends (T38)."""
    return max(1, min(limit, MAX_LIMIT))


class Pages:
    """A query whose rows have `id` and `position`, page by page; its statements are built once.

    `cursor` selects the position of the id that is the parameter `after`.
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
        """A fresh page (T29) of up to `limit` things; `order` is `asc`, anything else is newest first.

        Rows that `read` answers with None are passed over and others read in their place. The page's cursor is the
        last thing in it, which is what a client has seen: the next page begins with whatever was passed over.
        `explain` is asked about a page without rows, and may raise.
        """
        found: list[tuple[str, T]] = []
        start, wanted = {"after": after}, clamp(limit) + 1
        kind = "first" if after is None else "after"

        def fetch(connection: Connection) -> Sequence[AnyRow]:
            statement = self._statements[order == "asc", kind]
            rows: Sequence[AnyRow] = connection.execute(statement, {**values, **start, "count": wanted}).all()
            if not rows and kind != "position":
                explain(connection)
            return rows

        while wanted > 0:  # usually once
            rows = await database.read(fetch)
            found += [(row.id, thing) for row in rows if (thing := read(row)) is not None]
            if len(rows) < wanted:
                break
            kind, start, wanted = "position", {"position": rows[-1].position}, clamp(limit) + 1 - len(found)
        shown = found[: clamp(limit)]
        has_more = len(found) > len(shown)
        return Page(data=[thing for _, thing in shown], has_more=has_more, after=shown[-1][0] if has_more else None)
