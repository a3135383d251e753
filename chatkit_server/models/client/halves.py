"""Join a character that a model's endpoint has split over two events.

Some endpoints cut an emoji in the middle and send its two surrogates in two deltas, each of which is invalid alone.
"""

from typing import Any

from chatkit_store import clean_json, clean_text

Path = tuple[str | int, ...]


class Halves:
    """The first halves of characters at the ends of one event's strings, by their place in the event."""

    def __init__(self) -> None:
        self._waiting: dict[Path, str] = {}

    def __bool__(self) -> bool:
        """Return whether a first half waits for the next event."""
        return bool(self._waiting)

    def join(self, event: Any) -> Any:
        """Return the event with clean text: halves from the event before are added, new ones are kept for the next.

        A half whose second half does not follow becomes U+FFFD.
        """
        waiting, self._waiting = self._waiting, {}
        for path, half in waiting.items():
            _put(event, path, half)
        return clean_json(self._without_halves(event, ()))

    def _without_halves(self, value: Any, path: Path) -> Any:
        match value:
            case str() if value and "\ud800" <= value[-1] <= "\udbff" and "delta" in path:
                self._waiting[path] = value[-1]
                return clean_text(value[:-1])
            case dict():
                return {name: self._without_halves(entry, (*path, name)) for name, entry in value.items()}
            case list():
                return [self._without_halves(entry, (*path, index)) for index, entry in enumerate(value)]
        return value


def _put(event: Any, path: Path, half: str) -> None:
    """Put the half before the string at the path. If the next delta has no such string, it becomes U+FFFD."""
    *parents, name = path
    try:
        for step in parents:
            event = event[step]
        if isinstance(event, dict) and (parents or name in event):
            event[name] = half + event[name] if event.get(name) else clean_text(half)
    except (KeyError, IndexError, TypeError):
        return
