"""The limits of what clients send, checked before any other work on it.

`check_json` checks the JSON of every route: a request must not occupy the event loop, whatever it contains. Lengths are
in characters; a limit belongs to the name of a field, wherever it is in a request.
"""

import math
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from ..errors.http import InvalidJson, LimitExceeded

MESSAGE = 400_000
ID = 255
"""Also of names that are looked up, such as the type of an action, a model or a tool."""

LENGTHS: Mapping[str, int] = {
    "text": MESSAGE,
    "message": MESSAGE,
    "quoted_text": MESSAGE,
    "values": 100_000,
    "title": 500,
    "name": 1000,
    "mime_type": ID,
    "type": ID,
    "kind": ID,
    "order": ID,
    "status": ID,
    "id": ID,
    "thread_id": ID,
    "item_id": ID,
    "item_ids": ID,
    "attachment_id": ID,
    "attachments": ID,
    "after": ID,
    "model": ID,
    "tool_choice": ID,
    "group": ID,
    "icon": ID,
    "key": ID,
}
"""The longest string in a field or list of this name; in any other, `MESSAGE`."""

FREE_FORM: Mapping[str, float] = {
    "payload": 200_000,
    "metadata": 20_000,
    "data": 20_000,
    "result": math.inf,  # a client tool may return a picture
    "audio_base64": math.inf,
}
"""Fields with JSON of any shape, and how many characters it may contain together."""

NAMES: Mapping[str, str] = {
    "text": "The message",
    "message": "The message",
    "quoted_text": "The quoted text",
    "values": "The answer",
    "title": "The title",
    "name": "The file name",
    "payload": "The form",
}
"""What users call a field."""

DEPTH = 50
KEY = 1000
NARROWEST = min(MESSAGE, *LENGTHS.values())
"""A text of up to this many characters may be in any field."""
NARROWEST_FREE = min(FREE_FORM.values())
"""And so many together."""
ENTRIES = 1000
"""Entries of one list or object outside of free-form JSON. pydantic reports each invalid entry, which takes 5 µs."""
VALUES = 5000
FREE_VALUES = 50_000
TARGET = 4096
"""Characters of a path, and bytes of a query."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
"""A string, or the rest of a body that ends within one. Possessive: retrying would take quadratic time."""


def check_json_size(body: bytes) -> None:
    """Raise `LimitExceeded` for a body of too many values, before they become objects."""
    if _separators(body) > FREE_VALUES and _separators(_STRING.sub(b"", body)) > FREE_VALUES:
        raise LimitExceeded(f"The request is too large: it may contain at most {FREE_VALUES} values.")


def check_json(data: Any) -> None:
    """Check parsed JSON against all limits. Raises `LimitExceeded`, or `InvalidJson` for a number out of range."""
    if not _is_small(data):
        _Check().value(data, "", "")


def _is_small(data: Any) -> bool:
    """Return whether JSON keeps the narrowest of all limits everywhere, as usual messages do.

    That takes half the time, since no limit has to be found for a field, and no field has to be named.
    """
    entries = characters = 0
    level = [data]
    for _ in range(DEPTH):
        containers = []
        for value in level:
            kind = type(value)
            if kind is str:
                if len(value) > NARROWEST:
                    return False
                characters += len(value)
            elif kind is dict:
                entries += len(value)
                characters += sum(map(len, value))
                containers.append(value.values())
                if characters > NARROWEST and any(len(key) > KEY for key in value):
                    return False
            elif kind is list:
                entries += len(value)
                containers.append(value)
            elif kind is float:
                return False
        if entries > ENTRIES or characters > NARROWEST_FREE:
            return False
        if not containers:
            return True
        level = [*chain.from_iterable(containers)]
    return False


def check_text(name: str, text: str, path: str = "") -> None:
    """Raise `LimitExceeded` if the text is too long for a field of this name."""
    limit = LENGTHS.get(name, MESSAGE)
    if len(text) > limit:
        raise too_long(name, path or name, len(text), limit)


def too_long(name: str, path: str, length: int, limit: float) -> LimitExceeded:
    """Return the error for a field with too many characters."""
    place = path[:ID]  # names of fields are the client's, too
    subject = f"{NAMES[name]} (`{place}`)" if name in NAMES else f"`{place}`"
    return LimitExceeded(
        f"{subject} is too long: it has {length} characters, and at most {limit:.0f} are accepted. Please shorten it."
    )


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


class _Check:
    """One walk over a request."""

    def __init__(self) -> None:
        self._values = 0

    def value(self, value: Any, name: str, path: str, depth: int = 0) -> None:
        """Check a value under the name of its field, or of its list's field."""
        if isinstance(value, str):
            check_text(name, value, path)
        elif isinstance(value, (dict, list)):
            self._container(value, name, path, depth)
        else:
            _check_number(value)

    def _container(self, value: dict[str, Any] | list[Any], name: str, path: str, depth: int) -> None:
        self._values += len(value)
        if len(value) > ENTRIES or self._values > VALUES:
            limit = ENTRIES if len(value) > ENTRIES else VALUES
            raise LimitExceeded(f"`{path[:ID]}` has too many entries; at most {limit} are accepted.")
        if isinstance(value, list):
            _check_depth(path, depth)
            for index, entry in enumerate(value):
                self.value(entry, name, f"{path}.{index}", depth + 1)
            return
        for key, entry in value.items():
            place = f"{path}.{key}" if path else key
            _check_key(key, path)
            _check_depth(place, depth)
            if key in FREE_FORM:
                _FreeForm(key, place).check(entry, depth + 1)
            else:
                self.value(entry, key, place, depth + 1)


class _FreeForm:
    """One walk over JSON of any shape."""

    def __init__(self, name: str, path: str) -> None:
        self._name, self._path, self._limit = name, path, FREE_FORM[name]
        self._values = self._characters = 0

    def check(self, value: Any, depth: int) -> None:
        """Count everything in the value."""
        if isinstance(value, str):
            self._count(value)
        elif isinstance(value, (dict, list)):
            self._values += len(value)
            if self._values > FREE_VALUES:
                raise LimitExceeded(f"`{self._path[:ID]}` has too many entries; at most {FREE_VALUES} are accepted.")
            _check_depth(self._path, depth)
            if isinstance(value, dict):
                for key in value:
                    self._count(key)
            for entry in value.values() if isinstance(value, dict) else value:
                self.check(entry, depth + 1)
        else:
            _check_number(value)

    def _count(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > self._limit:
            raise too_long(self._name, self._path, self._characters, self._limit)


def _check_key(key: str, path: str) -> None:
    if len(key) > KEY:
        raise LimitExceeded(f"A name in `{path or 'the request'}` is too long; at most {KEY} characters are accepted.")


def _check_depth(path: str, depth: int) -> None:
    if depth > DEPTH:
        raise LimitExceeded(f"`{path[:ID]}` is nested too deeply; at most {DEPTH} levels are accepted.")


def _check_number(value: Any) -> None:
    """Databases cannot store an infinite number, which is what `1e999` becomes."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidJson("The request contains a number that is too large.")
