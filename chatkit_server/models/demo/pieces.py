"""Text cut into token-like pieces."""

import re


def split_pieces(text: str) -> list[str]:
    """`text` in pieces of at most six characters, words with the space before them; joined they are `text` again."""
    return re.findall(r"\s*\S{1,6}|\s+", text)
