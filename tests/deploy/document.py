"""The blocks of docs/deploy.md and of other documents, which the tests run."""

import re

from tests.workers.processes import ROOT

DOCUMENT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def blocks(language: str, document: str = DOCUMENT) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


def block(language: str, words: str, document: str = DOCUMENT) -> str:
    """Return the one block that contains the words."""
    (text,) = [text for text in blocks(language, document) if words in text]
    return text


def changed(text: str, changes: dict[str, str]) -> str:
    """Replace each of the strings, which must be there once."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {text}"
        text = text.replace(old, new)
    return text
