"""For whom the author's code runs: the user of the request, whose threads the adopted store reads and writes.

The author's code gets contexts of its own kind and passes them to its store. Those may be anything, so they never
decide: who asks is in a `ContextVar`, which tools and helper tasks of the request inherit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from chatkit_store import SqlStore

from ..context import RequestContext
from .item_ids import ItemIds


@dataclass(eq=False)
class AuthorCall:
    """One request, as long as the author's code works on it."""

    context: RequestContext
    store: SqlStore[RequestContext]
    author_context: Any = None
    """What the author's code gets as its context."""
    ids: ItemIds = field(default_factory=ItemIds)


current_call: ContextVar[AuthorCall | None] = ContextVar("current_call", default=None)


@contextmanager
def calling(call: AuthorCall) -> Iterator[AuthorCall]:
    """Make `call` the current one inside the block."""
    token = current_call.set(call)
    try:
        yield call
    finally:
        current_call.reset(token)
