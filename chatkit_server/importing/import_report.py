"""What an import has done, counted, and as sentences."""

from collections import Counter
from dataclasses import dataclass, field

KINDS = {"widget": "widget", "attachment": "file", "item": "other item"}
"""What may be replaced by a note, in words."""


@dataclass
class ImportReport:
    """Counts of threads and items."""

    new: int = 0
    new_items: int = 0
    """The items of new threads."""
    grown: int = 0
    """Threads that were taken before, and have new items."""
    added_items: int = 0
    """The new items of those."""
    unchanged: int = 0
    deleted: int = 0
    """Threads that were taken before, and were deleted here since."""
    gone: int = 0
    """Threads that were deleted at their source after they were listed."""
    pictures: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    """How many of each of `KINDS` a note stands for."""
    users: set[str] = field(default_factory=set)
    """The users of new threads."""
    problems: list[str] = field(default_factory=list)
    """What failed, a sentence each."""

    def count_thread(self, *, is_new: bool, new_items: int, user: str) -> None:
        """Count a thread that is complete."""
        if is_new:
            self.users.add(user)
            self.new += 1
            self.new_items += new_items
        elif new_items:
            self.grown += 1
            self.added_items += new_items
        else:
            self.unchanged += 1

    def sentences(self, verb: str, add: str) -> list[str]:
        """Return the report; `verb` is what was done to new threads, `add` to new items of other ones."""
        threads, items, users = _count(self.new, "thread"), _count(self.new_items, "item"), len(self.users)
        sentences = [f"{verb} {threads} of {_count(users, 'user')}, with {items}."]
        if self.grown:
            sentences.append(f"{add} {_count(self.added_items, 'item')} to {_count(self.grown, 'earlier thread')}.")
        if self.unchanged:
            sentences.append(f"{_count(self.unchanged, 'earlier thread')} had nothing new.")
        if self.deleted:
            sentences.append(f"{_count(self.deleted, 'earlier thread')} stayed away: deleted here since.")
        if self.gone:
            sentences.append(f"{_count(self.gone, 'thread')} vanished from the source meanwhile.")
        if self.pictures:
            sentences.append(f"{_count(self.pictures, 'picture')} came along.")
        if self.notes:
            replaced = ", ".join(_count(count, KINDS[kind]) for kind, count in sorted(self.notes.items()))
            sentences.append(f"Notes stand in the place of what could not be read or fetched: {replaced}.")
        if self.problems:
            sentences.append(f"{_count(len(self.problems), 'problem')}, named above. Run the command again to retry.")
        return sentences


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
