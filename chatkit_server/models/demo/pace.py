"""Keep a steady pace that does not drift with the work done in between."""

import asyncio


class Pace:
    """Releases its caller `per_second` times a second."""

    def __init__(self, per_second: float) -> None:
        self._seconds = 1 / per_second
        self._due: float | None = None

    async def wait(self) -> None:
        """Return when the next step is due; if it is overdue, after yielding to the event loop once."""
        now = asyncio.get_running_loop().time()
        self._due = now if self._due is None else self._due + self._seconds
        await asyncio.sleep(max(0.0, self._due - now))
