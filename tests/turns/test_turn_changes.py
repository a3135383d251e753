"""What a worker asks the database while it follows turns of other workers, and while it has nothing to do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import text

from chatkit_server.turns import journal, remote, turn_changes
from chatkit_server.turns.turn_changes import TurnChanges
from tests.serving import Tab
from tests.statements import counted
from tests.support.chatkit import LiveReply
from tests.support.openai_answers import Answer
from tests.turns.chat import Chat
from tests.turns.coming_back import DETACH, asking, attaching, read_up_to
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)
WHOLE = [("user", "Count"), ("assistant", "one two three four")]
SECONDS = 30.0
PAUSE = 0.5
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RARE = {"heartbeat_seconds": 60}
"""Keeps heartbeats out of the counts."""


@pytest.fixture(autouse=True)
def _long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives in time was notified."""
    monkeypatch.setattr(turn_changes, "LONGEST_WAIT", 60.0)


def changes_of(chat: Chat) -> TurnChanges:
    return chat.services.turns._changes


async def listening(chat: Chat, is_listening: bool = True) -> None:
    async with asyncio.timeout(SECONDS):
        while changes_of(chat).is_listening is not is_listening:  # noqa: ASYNC110 - of two processes
            await asyncio.sleep(0.01)


async def announced(chat: Chat) -> None:
    """Wait until the only turn that the worker follows is announced by its own worker."""
    async with asyncio.timeout(SECONDS):
        while not all(  # noqa: ASYNC110
            watch.is_announced for watches in changes_of(chat)._watches.values() for watch in watches
        ):
            await asyncio.sleep(0.01)


async def end_listeners(chat: Chat) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    async with chat.sql.connect() as connection:
        ended = await connection.execute(text(f"{query} AND application_name = 'chatkit-server listener'"))
        assert ended.all()


@asynccontextmanager
async def followed(here: Chat, there: Chat) -> AsyncIterator[tuple[LiveReply, LiveReply]]:
    """Ask at one worker and attach at the other, which is notified; yield the two replies, which hang."""
    here.upstream.script(COUNT)
    async with (
        await here.visitor() as tab,
        Tab(there.url, cookies=tab.cookies) as second,
        asking(tab, "Count") as first,
    ):
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            await announced(there)
            yield first, again


@pytest.fixture
async def two(start: Start) -> tuple[Chat, Chat]:
    """The worker that runs the turns, and another one, both listening."""
    here, there = await start(**RARE), await start(**RARE)
    if here.sql.dialect.name == "postgresql":
        await listening(here)
        await listening(there)
    return here, there


@on_postgresql
async def test_no_statement_is_run_while_nothing_happens(two: tuple[Chat, Chat]) -> None:
    here, there = two
    async with followed(here, there) as (first, again):
        for _ in range(10):  # on a busy machine, the notification that the reader is counted comes late
            with counted(here.services.engine) as of_owner, counted(there.services.engine) as of_follower:
                await asyncio.sleep(PAUSE)  # two batches, and five looks if it were polled
            if (of_owner, of_follower) == ([], []):
                break
        assert (of_owner, of_follower) == ([], [])
        with counted(there.services.engine) as of_follower:
            here.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.items == first.picture.items
        assert sum("wanted" in statement for statement in of_follower) <= 3, of_follower


@on_postgresql
async def test_a_stop_is_notified_and_its_end_as_well(two: tuple[Chat, Chat], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for it unasked here."""
    monkeypatch.setattr(journal, "LISTENING_INTERVAL", 60.0)
    monkeypatch.setattr(remote, "STOP_POLL_SECONDS", 60.0)
    here, there = two
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, Tab(there.url, cookies=tab.cookies) as second:
        async with asking(tab, "Count", DETACH) as first:
            await read_up_to(first, "one two")
            async with asyncio.timeout(SECONDS):
                status, body = await there.stop(second, first.headers["x-chatkit-turn-id"])
            assert (status, body["stop_reason"]) == (200, "user")
            await first.read()


@on_postgresql
async def test_readers_survive_the_end_of_the_listening_connections(two: tuple[Chat, Chat]) -> None:
    here, there = two
    async with followed(here, there) as (first, again):
        await end_listeners(here)
        await listening(there, False)
        with counted(there.services.engine) as statements:
            here.upstream.release()
            await asyncio.gather(first.read(), again.read())
            assert statements
        assert again.picture.texts() == WHOLE
    await listening(here)
    await listening(there)
    async with followed(here, there) as (first, again):
        here.upstream.release()
        await asyncio.gather(first.read(), again.read())
        assert again.picture.texts() == WHOLE


@on_sqlite
async def test_without_notifications_one_statement_reads_all_followed_turns(two: tuple[Chat, Chat]) -> None:
    here, there = two
    readers = 4
    for _ in range(readers):
        here.upstream.script(COUNT)
    async with AsyncExitStack() as stack:
        follow = []
        for _ in range(readers):
            tab = await stack.enter_async_context(await here.visitor())
            second = await stack.enter_async_context(Tab(there.url, cookies=tab.cookies))
            first = await stack.enter_async_context(asking(tab, "Count"))
            await read_up_to(first, "one two")
            again = await stack.enter_async_context(attaching(second, first.thread_id))
            await read_up_to(again, "one two")
            follow += [first, again]
        await asyncio.sleep(PAUSE + 0.2)  # the readers are counted
        looks, read_all = [], there.services.turns._remote._journal.read_all

        async def note(after: dict[str, int]) -> object:
            looks.append(len(after))
            return await read_all(after)

        there.services.turns._remote._journal.read_all = note  # type: ignore[method-assign,assignment]
        await asyncio.sleep(PAUSE)
        assert looks
        assert looks.count(readers) > len(looks) / 2, looks
        assert sum(looks) / readers <= PAUSE / turn_changes.POLL_SECONDS + 2
        here.upstream.release()
        await asyncio.gather(*(reader.read() for reader in follow))
    await there.quiet()


async def test_all_readers_of_a_turn_share_what_follows_it(two: tuple[Chat, Chat]) -> None:
    here, there = two
    here.upstream.script(COUNT)
    async with AsyncExitStack() as stack:
        tab = await stack.enter_async_context(await here.visitor())
        first = await stack.enter_async_context(asking(tab, "Count"))
        await read_up_to(first, "one two")
        readers = []
        for _ in range(3):
            second = await stack.enter_async_context(Tab(there.url, cookies=tab.cookies))
            readers.append(await stack.enter_async_context(attaching(second, first.thread_id)))
            await read_up_to(readers[-1], "one two")
        assert [len(watches) for watches in changes_of(there)._watches.values()] == [1]
        here.upstream.release()
        await asyncio.gather(*(reader.read() for reader in [first, *readers]))
        assert [reader.picture.texts() for reader in readers] == [WHOLE] * 3
        assert not changes_of(there)._watches
