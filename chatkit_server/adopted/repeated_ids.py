"""Ids of the items that an author's code makes in a replay: the same as before it paused.

So what it changes after the pause is the item that was shown before, not a copy of it.
"""

from collections import Counter

from chatkit_store import new_id


class RepeatedIds:
    """The ids of one call of the author's method, in the order in which its code asked for them."""

    def __init__(self, earlier: dict[str, list[str]]) -> None:
        """`earlier` has those of the call that this one repeats, by prefix; it is changed here."""
        self._ids = earlier
        self._counts: Counter[str] = Counter()

    def generate(self, prefix: str, *, is_replaying: bool) -> str:
        """Return the next id: a new one if the code is past the place where it paused."""
        ids, place = self._ids.setdefault(prefix, []), self._counts[prefix]
        self._counts[prefix] += 1
        if not is_replaying:
            del ids[place:]
        if place == len(ids):
            ids.append(new_id(prefix))
        return ids[place]
