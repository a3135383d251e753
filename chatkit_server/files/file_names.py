"""Make file names safe to display, to save, and to send in a header."""

import re
import unicodedata

from chatkit_store.clean import REPLACEMENT

MAX_LENGTH = 120
MAX_READ = 1000
"""How much of a name is looked at; file systems allow 255 bytes."""
DEFAULT_NAME = "file"

_UNSAFE = re.compile(r'[<>:"|?*\\/]')
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that are invisible or reorder text: controls, direction marks, line separators."""


def safe_file_name(name: str) -> str:
    """Return the last part of a path without unsafe characters, shortened to 120 characters but with its extension."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = unicodedata.normalize("NFC", _shorten(name, MAX_READ))  # quadratic in the number of combining marks
    name = "".join(" " if character.isspace() else character for character in name)
    name = "".join(char for char in name if unicodedata.category(char) not in INVISIBLE_CATEGORIES)
    name = name.replace(REPLACEMENT, "")  # was invisible before the request was cleaned
    name = _UNSAFE.sub("_", name).strip(". ")
    return _shorten(name, MAX_LENGTH) or DEFAULT_NAME


def _shorten(name: str, length: int) -> str:
    if len(name) <= length:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 10:
        return name[:length].rstrip(". ")
    return f"{stem[: length - len(extension) - 1]}.{extension}"
