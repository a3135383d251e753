"""Have a live worker declared dead: a crash without a separate process."""

from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import text

from tests.turns.chat import Chat


async def silence(worker: Chat) -> None:
    """Mark all workers of the database as silent for an hour, on another machine."""
    async with worker.sql.begin() as connection:
        await connection.execute(
            text("UPDATE workers SET seen_at = :then, host = 'elsewhere'"),
            {"then": moment(worker, datetime.now(UTC) - timedelta(hours=1))},
        )


async def wake_up(worker: Chat) -> None:
    """Let the worker beat after a long pause; it judges no other worker then."""
    heartbeat = worker.services.turns._heartbeat
    heartbeat._last_beat = monotonic() - 1000
    await heartbeat.beat()


async def recover_all(worker: Chat) -> None:
    """Let the worker recover the turns of all others."""
    await silence(worker)
    await wake_up(worker)
    await worker.services.turns._heartbeat.beat()


def moment(chat: Chat, value: datetime) -> datetime | str:
    """Return the value as plain SQL takes it."""
    return value if chat.sql.dialect.name == "postgresql" else f"{value:%Y-%m-%d %H:%M:%S.%f}Z"
