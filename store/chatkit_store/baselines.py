"""Remember the columns of objects when they were last loaded or saved, so that a save writes only changes (T15).

The objects themselves are not modified: equality and serialization are unaffected.
"""

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

_UNKNOWN = object()  # differs from every column value


class Baselines:
    """A weak map by identity (pydantic models have no hash): object → its columns when last loaded or saved."""

    def __init__(self) -> None:
        self._columns: dict[int, tuple[weakref.ref[Any], Mapping[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._columns)

    def remember(self, loaded: object, columns: Mapping[str, Any]) -> None:
        """Set the baseline of an object; it is dropped together with the object."""
        key = id(loaded)
        self._columns[key] = (weakref.ref(loaded, lambda _: self._columns.pop(key, None)), columns)

    def columns_of(self, loaded: object) -> Mapping[str, Any] | None:
        """Return the baseline of this very object, not of an equal one, or None."""
        ref, columns = self._columns.get(id(loaded), (None, None))
        return columns if ref is not None and ref() is loaded else None

    def mark_unknown(self, loaded: object, names: Iterable[str]) -> None:
        """Make the next save of an object write these columns, whatever their values."""
        columns = self.columns_of(loaded)
        if columns is not None:
            self.remember(loaded, {**columns, **dict.fromkeys(names, _UNKNOWN)})
