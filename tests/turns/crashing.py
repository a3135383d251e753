"""A worker that others take for dead while it still lives: a crash without a process of its own."""

from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import text

from tests.turns.chat import Chat


async def silence(worker: Chat) -> None:
    """All workers of the database were last heard of an hour ago, on another machine."""
    async with worker.sql.begin() as connection:
        await connection.execute(
            text("UPDATE workers SET seen_at = :then, host = 'elsewhere'"),
            {"then": moment(worker, datetime.now(UTC) - timedelta(hours=1))},
        )


async def wake_up(worker: Chat) -> None:
    """The worker beats again after a pause of its own, in which it judges nobody."""
    heartbeat = worker.services.turns._heartbeat
    heartbeat._last_beat = monotonic() - 1000
    await heartbeat.beat()


async def recover_all(worker: Chat) -> None:
    """The worker ends the turns of all the others."""
    await silence(worker)
    await wake_up(worker)
    await worker.services.turns._heartbeat.beat()


def moment(chat: Chat, value: datetime) -> datetime | str:
    """As plain SQL takes it."""
    return value if chat.sql.dialect.name == "postgresql" else f"{value:%Y-%m-%d %H:%M:%S.%f}Z"
