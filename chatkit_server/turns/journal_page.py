"""What one turn has for the journal until the next batch."""

from store import Entry

from ..events.frames import encode_text_delta


class Page:
    """What one turn has to write: events, and the text between them in one piece for each part of an item."""

    def __init__(self, turn_id: str) -> None:
        self._turn_id = turn_id
        self._entries: list[Entry | _Text] = []

    def record(self, number: int, data: bytes) -> None:
        """Takes an event's JSON, the frame with that number."""
        self._entries.append(Entry(self._turn_id, number, data.decode()))

    def record_text(self, number: int, item_id: str, content_index: int, pieces: list[str]) -> None:
        """Takes text, which goes on from the text before it or starts anew."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, _Text) and last.item_id == item_id and last.content_index == content_index:
            last.number = number
            last.pieces += pieces
        else:
            self._entries.append(_Text(number, item_id, content_index, pieces))

    def take(self) -> list[Entry]:
        """All that is here, which is then the caller's to write or to give back."""
        taken, self._entries = self._entries, []
        return [known if isinstance(known, Entry) else known.entry(self._turn_id) for known in taken]

    def give_back(self, entries: list[Entry]) -> None:
        """They could not be written; they are the first to be taken again."""
        self._entries[:0] = entries


class _Text:
    """A text delta that grows."""

    __slots__ = ("content_index", "item_id", "number", "pieces")

    def __init__(self, number: int, item_id: str, content_index: int, pieces: list[str]) -> None:
        self.number = number
        self.item_id = item_id
        self.content_index = content_index
        self.pieces = list(pieces)

    def entry(self, turn_id: str) -> Entry:
        data = encode_text_delta(self.item_id, self.content_index, "".join(self.pieces))
        return Entry(turn_id, self.number, data.decode())
