"""The statistics of recent turns, for monitors that ask often and do not wait long."""

import asyncio

from chatkit_store import StatisticsStore, StoreError, TurnStatistics

WINDOW_SECONDS = 300.0
FRESH_SECONDS = 2.0
"""How long an answer is given again, so that many monitors cost one query."""


class RecentTurns:
    """Asks the database one question at a time: one that hangs keeps one connection, however often it is asked."""

    def __init__(self, statistics: StatisticsStore) -> None:
        self._statistics = statistics
        self._question: asyncio.Task[TurnStatistics | None] | None = None
        self._asked_at = 0.0

    async def statistics(self, seconds: float) -> TurnStatistics | None:
        """Return the statistics of the last five minutes, or None if the database does not answer in time."""
        now = asyncio.get_running_loop().time()
        if self._question is None or (self._question.done() and now - self._asked_at > FRESH_SECONDS):
            self._question, self._asked_at = asyncio.create_task(self._ask(), name="recent turns"), now
        question = self._question
        done, _ = await asyncio.wait([question], timeout=seconds)
        return question.result() if done else None

    async def aclose(self) -> None:
        """Cancel a question that has no answer yet."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait([self._question], timeout=1.0)

    async def _ask(self) -> TurnStatistics | None:
        try:
            return await self._statistics.load(WINDOW_SECONDS)
        except StoreError:  # `/readyz` says why
            return None
