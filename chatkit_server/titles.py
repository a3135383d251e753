"""Names for threads."""

from chatkit.types import UserMessageItem, UserMessageTextContent

MAX_LENGTH = 60


def first_words(message: UserMessageItem) -> str | None:
    """The beginning of the message, cut at a word; None where it has no text."""
    text = " ".join(" ".join(part.text for part in message.content if isinstance(part, UserMessageTextContent)).split())
    if len(text) <= MAX_LENGTH:
        return text or None
    cut = text[:MAX_LENGTH]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut).rstrip(" ,;:.") + "…"
