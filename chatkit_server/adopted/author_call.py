"""For whom the author's code runs: the user of the request, whose threads the adopted store reads and writes.

The author's code gets contexts of its own kind and passes them to its store. Those may be anything, so they never
decide: who asks is in a `ContextVar`, which tools and helper tasks of the request inherit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException

from chatkit_store import SqlStore, new_id

from ..agents.turn_runner import turn_runs
from ..context import RequestContext
from ..errors.http import AuthorRefusal
from ..run.author_runs import AuthorRuns
from .item_ids import ItemIds
from .repeated_ids import RepeatedIds


@dataclass(eq=False)
class AuthorCall:
    """One request, as long as the author's code works on it."""

    context: RequestContext
    store: SqlStore[RequestContext]
    runs: AuthorRuns | None = None
    """Starts its runs of the Agents SDK; None outside of our operations."""
    author_context: Any = None
    """What the author's code gets as its context."""
    is_cancelled: bool = False
    """The turn was stopped, and it says so to the model."""
    ids: ItemIds = field(init=False)
    repeated_ids: RepeatedIds | None = None
    """Those of a method that may pause."""

    @property
    def is_replaying(self) -> bool:
        """Whether the author's code only repeats what it did, and saved, before it paused."""
        return self.runs is not None and self.runs.is_replaying

    def __post_init__(self) -> None:
        self.ids = ItemIds(self.store, self.context)

    def generate_id(self, prefix: str) -> str:
        """Return an id for a new item of the author's code."""
        item_id = self._generate_id(prefix)
        self.ids.add_generated(item_id)
        return item_id

    def _generate_id(self, prefix: str) -> str:
        runs = self.runs
        if self.repeated_ids is None or runs is None or runs is not turn_runs.get() or runs.is_reading:
            return new_id(prefix)  # what tools do, or code for an event of a run, is not repeated
        return self.repeated_ids.generate(prefix, is_replaying=runs.is_replaying)


current_call: ContextVar[AuthorCall | None] = ContextVar("current_call", default=None)


@contextmanager
def calling(call: AuthorCall) -> Iterator[AuthorCall]:
    """Make `call` the current one inside the block. Raises `AuthorRefusal` for an `HTTPException`."""
    tokens = current_call.set(call), turn_runs.set(call.runs)
    try:
        with author_refusals():
            yield call
    finally:
        current_call.reset(tokens[0])
        turn_runs.reset(tokens[1])


@contextmanager
def author_refusals() -> Iterator[None]:
    """Raise `AuthorRefusal` for an `HTTPException`, which an author's code raises as it would below FastAPI."""
    try:
        yield
    except HTTPException as error:
        raise AuthorRefusal(error.detail if isinstance(error.detail, str) else None, error.status_code) from error


def enter(call: AuthorCall) -> None:
    """Make `call` the current one for the rest of the task, and in all tasks that it starts."""
    current_call.set(call)
    turn_runs.set(call.runs)
