"""Statistics of all users' turns, for monitoring."""

from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore, StatisticsStore, TurnEnd, TurnStatistics, TurnStore
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, make_thread, make_turn


async def test_statistics_of_recent_turns(
    engine: AsyncEngine, store: SqlStore[User], turns: TurnStore, sql: Query
) -> None:
    statistics = StatisticsStore(engine)
    assert await statistics.load(300) == TurnStatistics(0, 0, 0, None, None)
    ends = [
        TurnEnd("completed", first_token_ms=100, duration_ms=1100, output_tokens=20),
        TurnEnd("completed", first_token_ms=301, duration_ms=1301, output_tokens=41),
        TurnEnd("stopped"),
        TurnEnd("failed"),
        TurnEnd("interrupted"),
        TurnEnd("failed", first_token_ms=99_999),
    ]
    for number, end in enumerate(ends):
        user, thread = (ALICE, BOB)[number % 2], make_thread()
        turn = make_turn(thread.id)
        await turns.start(turn, user, new_thread=thread)
        await turns.finish(turn.id, end, user)
    await sql(f"UPDATE turns SET ended_at = {OLD[engine.dialect.name]} WHERE first_token_ms = 99999")
    running = make_thread()
    await turns.start(make_turn(running.id), ALICE, new_thread=running)
    recent = await statistics.load(300)
    assert recent == TurnStatistics(running=1, ended=5, failed=2, first_token_ms=200.5, tokens_per_second=30.5)
    assert recent.error_rate == 0.4


OLD = {"sqlite": "'2026-01-01 00:00:00.000000Z'", "postgresql": "timestamptz '2026-01-01'"}
