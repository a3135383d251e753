"""Split text into token-like pieces."""

import re


def split_pieces(text: str) -> list[str]:
    """Split `text` into pieces of up to six characters, words with the space before them; nothing is lost."""
    return re.findall(r"\s*\S{1,6}|\s+", text)
