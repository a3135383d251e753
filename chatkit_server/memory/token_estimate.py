"""Estimate the length of a history: the model's own tokenizer is not available, and the number need not be exact."""

from collections.abc import Mapping
from typing import Any

BYTES_PER_TOKEN = 4
FILE_TOKENS = 1500
"""For an image or a file of any size: its base64 says nothing about what the model counts."""

FILE_FIELDS = frozenset({"image_url", "file_data"})


def count_tokens(value: Any) -> int:
    """Return about how many tokens the model reads in these input items."""
    return _bytes(value) // BYTES_PER_TOKEN + 1


def _bytes(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return len(value) if value.isascii() else len(value.encode(errors="replace"))
    if kind is list:
        return sum(map(_bytes, value))
    if kind is dict:
        return sum(map(_bytes, value)) + sum(
            _bytes_of_field(name, entry) if name in FILE_FIELDS else _bytes(entry) for name, entry in value.items()
        )
    match value:  # slower, for all others
        case str():
            return len(value.encode(errors="replace"))
        case Mapping():
            return sum(_bytes(name) + _bytes_of_field(name, entry) for name, entry in value.items())
        case list() | tuple():
            return sum(_bytes(entry) for entry in value)
    return len(str(value))


def _bytes_of_field(name: str, value: Any) -> int:
    """Recognise files by their field, not by their content: any text may begin with `data:`."""
    return FILE_TOKENS * BYTES_PER_TOKEN if name in FILE_FIELDS and value else _bytes(value)
