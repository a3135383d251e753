"""Kills, drains, outages of the database and stopped processes: what a reader has seen is kept, with the right status.

Each fault is tried once; `TRIES=20 pytest -s tests/workers/test_faults.py` tries more often and prints the figures.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.conftest import opened
from tests.databases import Postgres, run_postgres
from tests.serving import Tab
from tests.support.chatkit import LiveReply, text_of
from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import OpenAIServer, bench_tokens
from tests.turns.coming_back import DETACH, asking, last_text
from tests.workers.conftest import Fork
from tests.workers.processes import Nursery, Worker, fork
from tests.workers.sql import select
from tests.workers.test_kill import lag

TRIES = int(os.environ.get("TRIES", "1"))
AT_ONCE = 4
"""Answers that each fault meets."""
TOKENS = bench_tokens(40)
WHOLE = "".join(TOKENS)
RATE = 40.0
ANSWER = Answer(Text("", tokens=TOKENS), rate=RATE)
JOURNAL_SECONDS = 0.25
SLACK = 0.15
"""Seconds from a token's frame to the reader, and from the journal's page to its commit."""
HEARTBEAT = 1.2
STOPPED_SECONDS = 4 * HEARTBEAT
"""Long enough for the other worker to take the turns over."""
OUTAGE_SECONDS = 2.0


@dataclass
class Conversation:
    """An answer that the fault meets, as its reader saw it."""

    reply: LiveReply
    tab: Tab
    seen: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that the reader has seen."""
        return self.seen[-1][1] if self.seen else ""

    def seen_before(self, moment: float) -> str:
        return next((words for at, words in reversed(self.seen) if at < moment), "")


@dataclass
class Verdict:
    """Collects what is wrong after each try."""

    fault: str
    wrong: list[str] = field(default_factory=list)
    tries: int = 0

    def check(self, is_right: bool, words: str) -> None:
        if not is_right:
            self.wrong.append(f"try {self.tries}: {words}")

    def report(self, database: str) -> None:
        print(f"\n{self.fault:<10} {database:<11} {self.tries:>3} tries {len(self.wrong):>3} wrong")  # noqa: T201
        assert self.wrong == []


async def read(conversation: Conversation) -> None:
    """Read to the end or until the connection breaks, and note when the text grew."""
    with suppress(aiohttp.ClientError, asyncio.IncompleteReadError):
        while await conversation.reply.read_frame() is not None:
            words = last_text(conversation.reply)
            if words != conversation.text:
                conversation.seen.append((time.monotonic(), words))


@asynccontextmanager
async def conversations(worker: Worker, number: int = AT_ONCE) -> AsyncIterator[tuple[list[Conversation], Any]]:
    """Start answers; yield them once they have begun, and the task that reads them to their end."""
    async with AsyncExitStack() as stack:
        talks = []
        for index in range(number):
            tab = await stack.enter_async_context(worker.tab())
            reply = await stack.enter_async_context(asking(tab, f"Count {index}", DETACH))
            talks.append(Conversation(reply, tab))
        reading = asyncio.gather(*(read(talk) for talk in talks))
        async with asyncio.timeout(60):
            while not all(talk.text for talk in talks):  # noqa: ASYNC110 - as they are read
                await asyncio.sleep(0.01)
        try:
            yield talks, reading
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


async def check_end(
    talk: Conversation, seen: str, statuses: set[tuple[str, str | None]], engine: AsyncEngine, verdict: Verdict
) -> None:
    """Check the rows of a conversation: status, one answer with all that was seen, nothing left open."""
    thread_id = talk.reply.thread_id
    turns = await select(engine, "SELECT status, stop_reason FROM turns WHERE thread_id = :id", id=thread_id)
    verdict.check(len(turns) == 1 and turns[0] in statuses, f"the turns are {turns}")
    query = "SELECT role, text FROM messages WHERE thread_id = :id ORDER BY position"
    messages = await select(engine, query, id=thread_id)
    answers = [words for role, words in messages if role == "assistant"]
    verdict.check(len(messages) - len(answers) == 1, f"the messages are {messages}")
    verdict.check(len(answers) <= 1, f"{len(answers)} answers")
    kept = answers[0] if answers else ""
    verdict.check(kept.startswith(seen), f"kept {len(kept)} characters of {len(seen)}")
    verdict.check(WHOLE.startswith(kept), f"kept {kept!r}")
    verdict.check(turns[:1] != [("completed", None)] or kept == WHOLE, "completed, but not whole")
    open_items = await select(engine, "SELECT id FROM thread_items WHERE thread_id = :id AND open", id=thread_id)
    verdict.check(open_items == [], f"open: {open_items}")


async def check_answers_again(talk: Conversation, worker: Worker, verdict: Verdict) -> None:
    """Check that Retry gives a whole answer, which replaces the partial one."""
    async with worker.tab(talk.tab) as tab:
        loaded = await tab.reload(talk.reply.thread_id)
        try:
            again = await tab.retry(talk.reply.thread_id, loaded.items[0]["id"])
        except aiohttp.ClientPayloadError:  # with such short heartbeats, a busy machine looks stopped once more
            again = await tab.retry(talk.reply.thread_id, loaded.items[0]["id"])
        verdict.check((again.text, again.error) == (WHOLE, None), f"the retry gave {again.text!r} {again.error}")
        reloaded = await tab.reload(talk.reply.thread_id)
        words = [text_of(item) for item in reloaded.of_type("assistant_message")]
        verdict.check(words == [WHOLE], f"after the retry there are {len(words)} answers")


async def test_kills(forked: Fork, engine: AsyncEngine, upstream: OpenAIServer) -> None:
    verdict = Verdict("kill")
    upstream.default = ANSWER
    worker = await forked(api="responses")
    for verdict.tries in range(1, TRIES + 1):
        async with lag(worker) as late, conversations(worker) as (talks, reading):
            await asyncio.sleep(random.uniform(0, 0.5))
            killed_at = time.monotonic()
            worker.kill()
            await asyncio.wait_for(reading, 60)
            await worker.gone()
            worker = await forked(api="responses")
            for talk in talks:
                seen = talk.seen_before(killed_at - JOURNAL_SECONDS - SLACK - 2 * max(late))
                ends: set[tuple[str, str | None]] = {("interrupted", "crash")}
                if talk.text == WHOLE:
                    ends.add(("completed", None))
                await check_end(talk, seen, ends, engine, verdict)
            await check_answers_again(talks[0], worker, verdict)
    verdict.report(engine.dialect.name)


async def test_drains(forked: Fork, engine: AsyncEngine, upstream: OpenAIServer) -> None:
    """Messages are posted all the time; a stopping server refuses them, or answers them completely."""
    verdict = Verdict("drain")
    upstream.default = Answer(Text("", tokens=TOKENS), rate=4 * RATE)
    for verdict.tries in range(1, TRIES + 1):
        worker = await forked(api="responses", drain_seconds=20)
        before = await count_turns(engine)
        posts = [asyncio.create_task(post_until_refused(worker)) for _ in range(AT_ONCE)]
        await asyncio.sleep(random.uniform(0.5, 1))
        worker.terminate()
        started = [number for counts in await asyncio.wait_for(asyncio.gather(*posts), 60) for number in counts]
        await worker.gone()
        wrong = await select(engine, "SELECT status, stop_reason FROM turns WHERE status <> 'completed'")
        verdict.check(wrong == [], f"the turns are {wrong}")
        query = "SELECT count(*) FROM messages WHERE role = 'assistant' AND text <> :whole"
        verdict.check(await select(engine, query, whole=WHOLE) == [(0,)], "an answer is not whole")
        verdict.check(all(started), "a response ended early")
        number = await count_turns(engine) - before
        verdict.check(number == len(started), f"{number} turns, {len(started)} responses")
    verdict.report(engine.dialect.name)


async def count_turns(engine: AsyncEngine) -> int:
    ((number,),) = await select(engine, "SELECT count(*) FROM turns")
    return int(number)


async def post_until_refused(worker: Worker) -> list[bool]:
    """Send messages over a kept connection until one is refused; return for each answer whether it was whole."""
    answers: list[bool] = []
    async with worker.tab() as tab:
        while True:
            try:
                reply = await tab.create(f"Message {len(answers)}")
            except aiohttp.ClientConnectionError:
                return answers
            if reply.status == 503:
                assert reply.body["code"] == "server_stopping"
                return answers
            assert reply.status == 200, reply.body
            answers.append((reply.text, reply.error) == (WHOLE, None))


@pytest.fixture(params=["sqlite", "postgresql"])
async def fragile(request: pytest.FixtureRequest, tmp_path: Path) -> "AsyncIterator[Fragile]":
    """Yield a database that can fail."""
    if request.param == "sqlite":
        async with opened(f"sqlite:///{tmp_path}/fragile.db") as engine:
            yield FragileSqlite(engine, f"sqlite:///{tmp_path}/fragile.db?timeout=0.2", tmp_path / "fragile.db")
        return
    with run_postgres() as server, server.fresh_database() as url:
        async with opened(url) as engine:
            yield FragilePostgres(engine, url, server)


@dataclass
class Fragile:
    """A database with its engine for the tests, and its URL for the server."""

    engine: AsyncEngine
    url: str

    def outage(self) -> Any:
        """Return a context in which the database is away."""
        raise NotImplementedError


@dataclass
class FragileSqlite(Fragile):
    """A SQLite file that another process has locked."""

    path: Path

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Hold the lock of writers."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()


@dataclass
class FragilePostgres(Fragile):
    """A PostgreSQL server of its own."""

    server: Postgres

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Kill the server and start it again."""
        with self.server.stopped():
            yield


async def test_outages(warm: Nursery, fragile: Fragile, upstream: OpenAIServer, tmp_path: Path) -> None:
    """Answers that end while the database is away are saved when it is back; their readers see no error."""
    verdict = Verdict("outage")
    upstream.default = ANSWER
    settings = {"database_url": fragile.url, "base_url": upstream.base_url, "api": "responses"}
    worker = await fork(warm, tmp_path, "fragile", settings)
    try:
        for verdict.tries in range(1, TRIES + 1):
            async with conversations(worker) as (talks, reading):
                await asyncio.sleep(random.uniform(0, 0.3))
                outage = fragile.outage()
                await asyncio.to_thread(outage.__enter__)
                late = asyncio.create_task(post_during(worker))
                await asyncio.sleep(OUTAGE_SECONDS)
                await asyncio.to_thread(outage.__exit__, None, None, None)
                await asyncio.wait_for(reading, 60)
                await fragile.engine.dispose()  # its connections are lost as well
                late_text = await asyncio.wait_for(late, 60)
                verdict.check(late_text == WHOLE, f"a message sent during the outage got {late_text!r}")
                for talk in talks:
                    verdict.check(talk.reply.error is None, f"the reader saw {talk.reply.error}")
                    await check_end(talk, WHOLE, {("completed", None)}, fragile.engine, verdict)
    finally:
        worker.kill()
        await worker.gone()
    verdict.report(fragile.engine.dialect.name)


async def post_during(worker: Worker) -> str:
    async with worker.tab() as tab:
        reply = await tab.create("Late")
        return reply.text if reply.error is None else str(reply.error)


async def test_stopped_processes(forked: Fork, engine: AsyncEngine, upstream: OpenAIServer) -> None:
    """A stopped worker loses its turns to the other one; when it continues, nothing that was seen is missing."""
    verdict = Verdict("stopped")
    upstream.default = ANSWER
    here = await forked(api="responses", heartbeat_seconds=HEARTBEAT)
    there = await forked(api="responses", heartbeat_seconds=HEARTBEAT)
    for verdict.tries in range(1, TRIES + 1):
        async with conversations(here) as (talks, reading):
            await asyncio.sleep(random.uniform(0, 0.3))
            here.pause()
            await asyncio.sleep(STOPPED_SECONDS)
            running = "SELECT id FROM turns WHERE status = 'running'"
            async with asyncio.timeout(40):  # a process stopped within a transaction keeps its locks for ten seconds
                while await select(engine, running):  # noqa: ASYNC110 - another process closes them
                    await asyncio.sleep(0.05)
            here.go_on()
            await asyncio.wait_for(reading, 60)
            for talk in talks:
                await check_end(talk, talk.text, {("interrupted", "crash"), ("completed", None)}, engine, verdict)
                is_whole = talk.text == WHOLE
                verdict.check(is_whole or talk.reply.error is not None, "a partial answer looks complete")
            await check_answers_again(talks[0], there, verdict)
            await check_answers_again(talks[1], here, verdict)
    verdict.report(engine.dialect.name)
