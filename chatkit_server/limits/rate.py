"""The limit of a rate, in this process."""

import time


class Rate:
    """A limit of a rate: `at_once`, and then `per_second`."""

    def __init__(self, at_once: float, per_second: float) -> None:
        self._at_once = self._left = at_once
        self._per_second = per_second
        self._counted = time.monotonic()

    def take(self, count: int = 1) -> bool:
        """Return whether that many more are within the limit; if so, count them."""
        if self.left() < count:
            return False
        self._left -= count
        return True

    def left(self) -> float:
        """Return how many are within the limit now."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._counted) * self._per_second)
        self._counted = now
        return self._left
