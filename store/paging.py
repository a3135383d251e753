"""Keyset pages by position: the cursor is an id, so equal times can neither lose nor repeat anything."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from chatkit.types import Page
from sqlalchemy import Column, ScalarSelect, Select

from store.database import AnyRow

T = TypeVar("T")
Bound = ScalarSelect[int] | int | None
Fetch = Callable[[Bound, int], Awaitable[Sequence[AnyRow]]]

MAX_LIMIT = 500


def clamp(limit: int) -> int:
    """What a client may ask for: 1 to 500, whatever it sends (T38)."""
    return max(1, min(limit, MAX_LIMIT))


def seek(query: Select[Any], position: Column[int], order: str, after: Bound, count: int) -> Select[Any]:
    """Take the `count` rows that follow position `after`; `order` is `asc`, anything else is newest first."""
    ascending = order == "asc"
    if after is not None:
        query = query.where(position > after if ascending else position < after)
    return query.order_by(position if ascending else position.desc()).limit(count)


async def collect_page(fetch: Fetch, read: Callable[[AnyRow], T | None], after: Bound, limit: int) -> Page[T]:
    """A fresh page (T29) of up to `limit` things; rows need `id` and `position`. Usually one `fetch`.

    Rows that `read` answers with None are passed over and others read in their place. The page's cursor is the
    last thing in it, which is what a client has seen: the next page begins with whatever was passed over.
    """
    found: list[tuple[str, T]] = []
    while (wanted := clamp(limit) + 1 - len(found)) > 0:
        rows = await fetch(after, wanted)
        found += [(row.id, thing) for row in rows if (thing := read(row)) is not None]
        if len(rows) < wanted:
            break
        after = rows[-1].position
    shown = found[: clamp(limit)]
    has_more = len(found) > len(shown)
    return Page(data=[thing for _, thing in shown], has_more=has_more, after=shown[-1][0] if has_more else None)
