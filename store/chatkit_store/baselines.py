"""What the columns held when the store last gave or took an object, so a save can write only what changed (T15).

The objects themselves stay plain: nothing is added to them, equality and dumps are unaffected.
"""

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

_IN_DOUBT = object()  # equals no column's value


class Baselines:
    """A weak map by identity (pydantic models have no hash): object → the columns it stood for."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], Mapping[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, thing: object, columns: Mapping[str, Any]) -> None:
        """Note what `thing` stands for now; forgotten when the object is gone."""
        key = id(thing)
        self._known[key] = (weakref.ref(thing, lambda _: self._known.pop(key, None)), columns)

    def columns_of(self, thing: object) -> Mapping[str, Any] | None:
        """The columns last remembered for this very object (not for an equal one), or None."""
        ref, columns = self._known.get(id(thing), (None, None))
        return columns if ref is not None and ref() is thing else None

    def doubt(self, thing: object, names: Iterable[str]) -> None:
        """Expect nothing of these columns of a known object, so that its next save writes them."""
        known = self.columns_of(thing)
        if known is not None:
            self.remember(thing, {**known, **dict.fromkeys(names, _IN_DOUBT)})
