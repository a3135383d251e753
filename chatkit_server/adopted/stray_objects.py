"""Threads, items and attachments in the fields of the author's store object. Its methods are ours, so nothing reads
them there: such data is lost when the process ends, and no user ever sees it.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import ModuleType
from typing import Any

from chatkit.store import Store
from chatkit.types import AttachmentBase, ThreadItemBase, ThreadMetadata

from .author_store import original_class

logger = logging.getLogger(__name__)

OURS = "_chatkit_"
"""What names of fields begin with that we put there."""
NEWEST = 50
"""How many entries of a container are looked at, the newest first where it has an order."""
MOST = 2000
"""How many objects are looked at in all."""
DEEPEST = 4


def find_strays(store: object) -> dict[str, int]:
    """Return how many of them each field of the object holds."""
    budget = iter(range(MOST))
    counts = {
        name: sum(1 for _ in _objects(value, DEEPEST, budget))
        for name, value in list(getattr(store, "__dict__", {}).items())
        if not name.startswith(OURS)
    }
    return {name: count for name, count in counts.items() if count}


def describe_strays(strays: Mapping[str, int]) -> str:
    """Return a text such as `_threads (3 objects)`."""
    return ", ".join(f"{name} ({count} object{'s' if count > 1 else ''})" for name, count in strays.items())


class StrayWatch:
    """Logs when more of them appear in a store object; never what they say."""

    def __init__(self, store: Store[Any]) -> None:
        self._store = store
        self.at_start = find_strays(store)
        self._seen = self.at_start
        if self.at_start:
            logger.warning(
                "the %s of the adopted server holds %s: its store is the database now, where these are missing",
                original_class(store).__name__,
                describe_strays(self.at_start),
            )

    def look(self) -> None:
        """Log what has come since the last time."""
        strays = find_strays(self._store)
        new = {name: count for name, count in strays.items() if count > self._seen.get(name, 0)}
        self._seen = strays
        if new:
            logger.error(
                "code of the adopted server has written to %s of its %s, past the methods of chatkit's Store: "
                "this is not saved, and no user sees it. Use those methods",
                describe_strays(new),
                original_class(self._store).__name__,
            )


def _objects(value: Any, depth: int, budget: Iterator[int]) -> Iterator[object]:
    if isinstance(value, ThreadMetadata | ThreadItemBase | AttachmentBase):
        yield value
    elif depth and next(budget, None) is not None:
        for part in _parts(value):
            yield from _objects(part, depth - 1, budget)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return _newest(value.values())
    if isinstance(value, list | tuple | deque | set | frozenset):
        return _newest(value)
    if isinstance(value, type | ModuleType) or callable(value):
        return []
    return _newest(getattr(value, "__dict__", {}).values())


def _newest(values: Iterable[Any]) -> list[Any]:
    ordered: Any = values
    with contextlib.suppress(RuntimeError):  # another OS thread changed it during the iteration
        with contextlib.suppress(TypeError):  # has no order
            return list(islice(reversed(ordered), NEWEST))
        return list(islice(ordered, NEWEST))
    return []
