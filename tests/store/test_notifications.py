"""Notifications of PostgreSQL: who gets them, when, and what happens to the connection that listens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    CannotListen,
    Entry,
    JournalStore,
    Listener,
    SqlStore,
    StoreUnavailable,
    TurnEnd,
    TurnStore,
    new_id,
    notifications,
    open_engine,
)
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database
from chatkit_store.notifications import CHANGES, PAYLOAD_BYTES, notify, payloads
from tests.conftest import checked_out, opened
from tests.databases import Postgres
from tests.store.conftest import fixture_of
from tests.store.factories import ALICE, User, make_thread, make_turn
from tests.support.managed_postgres import TRUSTING, needs_pgbouncer, run_pgbouncer

store = fixture_of(SqlStore[User])
turns = fixture_of(TurnStore)
journal = fixture_of(JournalStore)
listener = fixture_of(Listener)
SECONDS = 30.0


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """An engine on PostgreSQL only."""
    with postgres.fresh_database(with_schema=True) as url:
        async with opened(url, has_schema=True) as engine:
            yield engine


@dataclass
class Received:
    """What a listener has received."""

    changes: list[list[str]] = field(default_factory=list)
    signals: list[list[str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_changes(self, turn_ids: list[str]) -> None:
        self.changes.append(turn_ids)
        self.news.set()

    def on_signals(self, turn_ids: list[str]) -> None:
        self.signals.append(turn_ids)
        self.news.set()

    async def wait(self) -> None:
        """Wait for the next notification."""
        async with asyncio.timeout(SECONDS):
            await self.news.wait()
        self.news.clear()


async def lost_in_time(lost: asyncio.Event) -> None:
    async with asyncio.timeout(SECONDS):
        await lost.wait()


async def listening_pid(engine: AsyncEngine) -> int:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'chatkit-server listener'"
    async with engine.connect() as connection:
        return int((await connection.execute(text(f"{query} AND datname = current_database()"))).scalar_one())


async def test_batches_signals_and_ends_are_notified_where_somebody_waits(
    listener: Listener, turns: TurnStore, journal: JournalStore, store: SqlStore[User], engine: AsyncEngine
) -> None:
    thread, received = make_thread(), Received()
    await store.save_thread(thread, ALICE)
    turn = make_turn(thread.id, worker_id="here")
    await turns.start(turn, ALICE)
    async with listener.listening(received.on_changes, received.on_signals):
        assert checked_out(engine) == 0  # the connection is not one of the pool
        await journal.write([Entry(turn.id, 1, "{}")], "here")
        await turns.ask_to_stop(turn.id, "user", User("stranger"))
        await turns.ask_to_stop(turn.id, "user", ALICE)
        await received.wait()
        assert (received.changes, received.signals) == ([], [[turn.id]])
        assert [signal.reason for signal in await journal.read_signals("here")] == ["user"]
        await journal.write([Entry(turn.id, 2, "{}")], "here", changed_ids=[turn.id])
        await received.wait()
        await turns.finish(turn.id, TurnEnd("stopped"), ALICE, worker_id="here", notifies=True)
        await received.wait()
        assert (received.changes, received.signals) == ([[turn.id]] * 2, [[turn.id]])


async def test_the_ids_of_many_turns_fit_into_payloads(listener: Listener, engine: AsyncEngine) -> None:
    turn_ids = [new_id("turn") for _ in range(1_000)]
    assert all(len(payload) <= PAYLOAD_BYTES for payload in payloads(turn_ids))
    received = Received()
    async with listener.listening(received.on_changes, received.on_signals):
        await Database(engine).write(lambda c: notify(c, CHANGES, turn_ids), ALL_USERS)
        while sum(map(len, received.changes)) < len(turn_ids):
            await received.wait()
    assert [turn_id for part in received.changes for turn_id in part] == turn_ids
    assert len(received.changes) == 5


async def test_a_connection_that_the_server_ends_is_noticed(listener: Listener, engine: AsyncEngine) -> None:
    received = Received()
    async with listener.listening(received.on_changes, received.on_signals) as lost:
        assert not lost.is_set()
        async with engine.connect() as connection:
            await connection.execute(text(f"SELECT pg_terminate_backend({await listening_pid(engine)})"))
        await lost_in_time(lost)


@pytest.mark.parametrize("refusal", ["CONNECTION LIMIT 0", "NOLOGIN"])
async def test_a_server_that_refuses_connections_is_unavailable(refusal: str, postgres: Postgres) -> None:
    """As one that has none to spare, starts up, or fails over: whoever listens tries again."""
    role, received = new_id("role"), Received()
    postgres.create_role(role, "NOSUPERUSER")
    postgres.run_sql(f"ALTER ROLE {role} {refusal}")
    with postgres.fresh_database(with_schema=True) as url:
        engine = open_engine(url.replace("postgres@", f"{role}@"))
        with pytest.raises(StoreUnavailable):
            async with Listener(engine).listening(received.on_changes, received.on_signals):
                pass
        assert checked_out(engine) == 0
        await engine.dispose()
    postgres.run_sql(f"DROP ROLE {role}")


async def test_a_check_ends_a_connection_that_does_not_answer(
    listener: Listener, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a firewall that has forgotten it."""
    monkeypatch.setattr(notifications, "CHECK_SECONDS", 0.2)
    received = Received()
    async with listener.listening(received.on_changes, received.on_signals) as lost:
        await listener.check()
        assert not lost.is_set()
        pid = await listening_pid(engine)
        os.kill(pid, signal.SIGSTOP)
        try:
            await listener.check()
            await lost_in_time(lost)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_sqlite_has_no_notifications(tmp_path: Path) -> None:
    engine, received = open_engine(f"sqlite:///{tmp_path / 'test.db'}"), Received()
    with pytest.raises(CannotListen):
        async with Listener(engine).listening(received.on_changes, received.on_signals):
            pass
    await engine.dispose()


@needs_pgbouncer
@pytest.mark.parametrize(
    ("query", "refusal"),
    [("", CannotListen), ("?pgbouncer=true", CannotListen), ("?pgbouncer=false", StoreUnavailable)],
    ids=["noticed", "named", "denied"],
)
async def test_behind_pgbouncer_nobody_listens(
    query: str, refusal: type[Exception], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "PROBE_SECONDS", 0.5)
    received = Received()
    with (
        postgres.fresh_database(with_schema=True) as url,
        run_pgbouncer(TRUSTING.format(folder=postgres.folder), {"userlist.txt": '"postgres" ""'}) as port,
    ):
        name = url.partition("@/")[2].partition("?")[0]
        engine = open_engine(f"postgresql://postgres@127.0.0.1:{port}/{name}{query}")
        with pytest.raises(refusal):
            async with Listener(engine).listening(received.on_changes, received.on_signals):
                pass
        assert checked_out(engine) == 0
        await engine.dispose()
