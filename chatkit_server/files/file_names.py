"""A name that cannot hurt wherever it is shown, saved or put into a header."""

import re
import unicodedata

LENGTH = 120
NAMELESS = "file"

_UNSAFE = re.compile(r'[<>:"|?*\\/]')
_HIDDEN_KINDS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's kinds for what nobody sees: controls, marks that turn the direction of writing, halves of a character."""


def safe_file_name(name: str) -> str:
    """The last part of a path, without what a file system, a header or a reader could misread; at most 120 characters,
    its ending kept."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/").rsplit("/", 1)[-1])
    name = "".join(" " if character.isspace() else character for character in name)
    name = "".join(character for character in name if unicodedata.category(character) not in _HIDDEN_KINDS)
    name = _UNSAFE.sub("_", name).strip(". ")
    return _shortened(name) or NAMELESS


def _shortened(name: str) -> str:
    if len(name) <= LENGTH:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        return name[:LENGTH].rstrip(". ")
    return f"{stem[: LENGTH - len(ending) - 1]}.{ending}"
