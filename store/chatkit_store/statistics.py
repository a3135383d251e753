"""Count what the turns of all users and workers have done lately, for monitoring."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS
from chatkit_store.columns import UtcDateTime
from chatkit_store.database import Database
from chatkit_store.tables import RUNNING, turns

t = turns.c


@dataclass(frozen=True)
class TurnStatistics:
    """Running turns, and those that ended within some time; averages are None without a turn that has the figure."""

    running: int
    ended: int
    failed: int
    """Of the ended ones, those that failed or were interrupted."""
    first_token_ms: float | None
    """The average time to the first token."""
    tokens_per_second: float | None
    """The average output rate of an answer, from its first token on."""

    @property
    def error_rate(self) -> float:
        """The share of failed turns, 0 to 1."""
        return self.failed / self.ended if self.ended else 0.0


class StatisticsStore:
    """Reads statistics of all users' turns. Raises errors as `SqlStore` does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def load(self, seconds: float) -> TurnStatistics:
        """Return the statistics of the last `seconds`."""
        values = {"since": datetime.now(UTC) - timedelta(seconds=seconds)}
        row = await self._database.read(lambda c: c.execute(_RECENT, values).one(), ALL_USERS)
        latency, rate = (None if value is None else round(float(value), 1) for value in (row.latency, row.rate))
        return TurnStatistics(row.running, row.ended, row.failed, latency, rate)


_others = turns.alias()
_RUNNING_NOW = select(func.count()).select_from(_others).where(_others.c.status == RUNNING).scalar_subquery()
_RECENT = select(
    _RUNNING_NOW.label("running"),
    func.count().label("ended"),
    func.count().filter(t.status.in_(["failed", "interrupted"])).label("failed"),
    func.avg(t.first_token_ms).label("latency"),
    func.avg(t.tokens_per_second).label("rate"),
).where(t.ended_at >= bindparam("since", type_=UtcDateTime))
