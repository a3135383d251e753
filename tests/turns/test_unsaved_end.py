"""The end of a turn while the database fails briefly, for long, or for good."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server import create_app
from chatkit_store import StoreUnavailable, TurnEnd, TurnStore
from chatkit_store.owner import HasUser
from tests.serving import make_settings
from tests.support.chatkit import user_input
from tests.support.live_server import live
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.support.sse import RawStream
from tests.turns.chat import LEAVING, Chat, busy_database, thread_of
from tests.turns.conftest import Start
from tests.turns.log import Log, listening

ALWAYS = 1_000_000


class Unreliable(TurnStore):
    """A store whose `finish` fails `failures` times, or never returns."""

    failures = 0
    hangs = False
    tries = 0

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.is_called = asyncio.Event()

    async def finish(self, turn_id: str, end: TurnEnd, context: HasUser, **more: Any) -> bool:
        """As `TurnStore.finish`."""
        self.tries += 1
        self.is_called.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.tries <= self.failures:
            raise StoreUnavailable("gone for a moment")
        return await super().finish(turn_id, end, context, **more)


@pytest.fixture(autouse=True)
def unreliable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every app of these tests such a store."""
    monkeypatch.setattr("chatkit_server.app.TurnStore", Unreliable)


@pytest.fixture
def log() -> Iterator[Log]:
    """Return the server's log."""
    with listening() as log:
        yield log


def store_of(chat: Chat) -> Unreliable:
    store = chat.services.turn_store
    assert isinstance(store, Unreliable)
    return store


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_disconnected_clients_answer_is_saved_by_a_retry(chat: Chat, failures: int, log: Log) -> None:
    store_of(chat).failures = failures
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        LEAVING["closed"](stream)
    await chat.quiet()
    assert store_of(chat).tries == failures + 1
    assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two")]
    assert await chat.items(thread_of(stream)) == ["user_message", "assistant_message"]
    assert await chat.turns(thread_of(stream)) == [("stopped", "disconnected")]
    assert len(log.of(logging.WARNING)) == 1
    assert log.of(logging.ERROR) == []


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_finished_answer_is_saved_by_a_retry(chat: Chat, failures: int, log: Log) -> None:
    store_of(chat).failures = failures
    chat.upstream.script(Answer("one two three"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert (reply.text, reply.error) == ("one two three", None)
        assert await chat.messages(reply.thread_id) == [("user", "Count"), ("assistant", "one two three")]
        assert await chat.turns(reply.thread_id) == [("completed", None)]
        assert (await tab.reload(reply.thread_id)).texts() == tab.pictures[reply.thread_id].texts()
    assert log.of(logging.ERROR) == []


async def test_an_answer_that_the_database_refuses_fails_its_turn(chat: Chat, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for statement in _REFUSE[engine.dialect.name]:
            await connection.execute(text(statement))
    chat.upstream.script(Answer("one two three"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert reply.error is not None
        assert "could not be read or saved" in reply.error["message"]
        assert await chat.messages(reply.thread_id) == [("user", "Count")]
        assert await chat.turns(reply.thread_id) == [("failed", None)]
        notices = await chat.select("SELECT count(*) FROM thread_items WHERE role = 'notice'")
        assert notices == [(1,)]


async def test_a_stop_is_saved_once_even_if_the_first_attempt_failed(chat: Chat) -> None:
    store_of(chat).failures = 1
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        status, body = await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        assert (status, body["status"], body["stop_reason"]) == (200, "stopped", "user")
        assert await chat.items(thread_of(stream)) == ["user_message", "assistant_message", "sdk_hidden_context"]
        assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two")]


async def test_an_answer_is_saved_after_a_lock_timeout(
    start: Start, engine: AsyncEngine, database_url: str, log: Log
) -> None:
    if engine.dialect.name == "postgresql":
        async with engine.begin() as connection:
            name = await connection.scalar(text("SELECT current_database()"))
            await connection.execute(text(f"ALTER DATABASE \"{name}\" SET lock_timeout = '50ms'"))
        chat = await start()
    else:
        chat = await start(database_url=f"{database_url}?timeout=0.05")
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        async with busy_database(chat):
            stream.close()
            await log.wait_for("waits for the database")
    await chat.quiet()
    assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two")]
    assert await chat.turns(thread_of(stream)) == [("stopped", "disconnected")]
    assert log.of(logging.ERROR) == []


async def test_an_end_that_cannot_be_saved_in_time_is_shown_and_logged(start: Start, log: Log) -> None:
    chat = await start(outage_seconds=1.0)
    store_of(chat).failures = ALWAYS
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        chat.upstream.release()
        await stream.read_to_end()
        assert stream.ended
        assert stream.events[-1]["type"] == "error"
        assert "could not be read or saved" in stream.events[-1]["message"]
        assert stream.events[-1]["allow_retry"]
    assert store_of(chat).tries > 1
    turn_id = stream.headers["x-chatkit-turn-id"]
    assert [message for message in log.of(logging.ERROR) if turn_id in message and "could not be saved" in message]
    await chat.quiet()


async def test_closing_the_turns_has_a_time_limit(start: Start, log: Log) -> None:
    chat = await start(stop_seconds=0.2)
    store_of(chat).hangs = True
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        async with asyncio.timeout(30):
            await store_of(chat).is_called.wait()
        async with asyncio.timeout(9):
            await chat.services.turns.shutdown.close()
        await stream.read_to_end()
        assert stream.ended
        turn_id = stream.headers["x-chatkit-turn-id"]
        assert f"turn {turn_id} could not be saved before the server stopped" in log.of(logging.ERROR)
    await chat.quiet()


async def test_the_process_ends_even_if_its_database_hangs(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, tmp_path: Path, log: Log
) -> None:
    upstream.script(Answer("one two three", hang_after=2))
    values = {"database_url": database_url, "model": "gpt-test", "base_url": upstream.base_url, "stop_seconds": 0.2}
    app = create_app(make_settings(tmp_path, **values))
    store: Unreliable = app.state.services.turn_store
    store.hangs = True
    async with live(app, graceful=0, within=9) as url:
        create = {"type": "threads.create", "params": {"input": user_input("Count")}}
        stream = await RawStream.post(url, "/chatkit", create)
        await stream.read_until(lambda frame: ' two"' in frame.data)
    stream.close()
    assert store.tries == 1
    assert upstream.requests[0].client_gone
    assert any("could not be saved before the server stopped" in message for message in log.of(logging.ERROR))


_REFUSE = {
    "sqlite": [
        "CREATE TRIGGER refuse BEFORE INSERT ON thread_items WHEN NEW.type = 'assistant_message' "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON thread_items FOR EACH ROW WHEN (NEW.type = 'assistant_message') "
        "EXECUTE FUNCTION refuse()",
    ],
}
"""What has a database refuse answers."""
