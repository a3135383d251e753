"""Make file names safe to display, to save, and to send in a header."""

import re
import unicodedata

MAX_LENGTH = 120
DEFAULT_NAME = "file"

_UNSAFE = re.compile(r'[<>:"|?*\\/]')
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that are invisible or reorder text: controls, direction marks, line separators."""


def safe_file_name(name: str) -> str:
    """Return the last part of a path without unsafe characters, shortened to 120 characters but with its extension."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/").rsplit("/", 1)[-1])
    name = "".join(" " if character.isspace() else character for character in name)
    name = "".join(character for character in name if unicodedata.category(character) not in INVISIBLE_CATEGORIES)
    name = _UNSAFE.sub("_", name).strip(". ")
    return _shorten(name) or DEFAULT_NAME


def _shorten(name: str) -> str:
    if len(name) <= MAX_LENGTH:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 10:
        return name[:MAX_LENGTH].rstrip(". ")
    return f"{stem[: MAX_LENGTH - len(extension) - 1]}.{extension}"
