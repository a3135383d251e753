"""Both workers are replaced, one after the other, under load: nothing is lost."""

import asyncio
import random
import signal

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.openai_answers import Answer, Text
from tests.support.openai_server import OpenAIServer, bench_tokens
from tests.turns.coming_back import DETACH, asking, attaching, read_up_to
from tests.workers.conftest import Fork
from tests.workers.page import Balancer, Page
from tests.workers.processes import Worker
from tests.workers.sql import select

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

PAGES = 12
DRAIN_SECONDS = 0.6
"""Shorter than an answer: some finish, some do not."""
TOKENS = bench_tokens(30)
WHOLE = "".join(TOKENS)
ENDS = {("completed", None), ("interrupted", "shutdown")}


async def test_a_rolling_restart_under_load_loses_nothing(
    forked: Fork, upstream: OpenAIServer, engine: AsyncEngine
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - for whoever has to find out why
    balancer = Balancer(random.Random(seed))
    upstream.default = Answer(Text("", tokens=TOKENS), rate=25)

    async def start() -> Worker:
        return await forked(api="responses", drain_seconds=DRAIN_SECONDS, stop_seconds=2)

    first, second = await start(), await start()
    balancer.workers += [first, second]
    tabs = [first.tab() for _ in range(PAGES)]
    for tab in tabs:
        await tab.list()  # its cookie
    pages = [Page(balancer, tab) for tab in tabs]
    rolled = asyncio.Event()

    async def talk(page: Page) -> None:
        while not rolled.is_set():
            await page.say(f"Message {len(page.sent)}.")

    async def roll() -> None:
        await asyncio.gather(*(upstream.wait_for_request(number) for number in range(1, PAGES + 1)))
        for old in (first, second):
            balancer.workers.append(await start())
            old.terminate()
            await old.gone()
            balancer.workers.remove(old)
        rolled.set()

    async with asyncio.TaskGroup() as tasks:
        for page in pages:
            tasks.create_task(talk(page))
        tasks.create_task(roll())

    for old in (first, second):
        assert "Traceback" not in old.words()
        errors = [line for line in old.words().splitlines() if " ERROR " in line]
        assert all("returned without completing response" in line for line in errors)  # readers that were cut off
    assert set(await select(engine, "SELECT status, stop_reason FROM turns")) == ENDS
    for page, tab in zip(pages, tabs, strict=True):
        async with balancer.workers[0].tab(tab) as again:
            loaded = await again.reload(page.thread_id)
        assert [words for role, words in loaded.texts() if role == "user"] == page.sent
        assert loaded.texts() == page.picture.texts()
        await check_answers(page, engine)
        await tab.session.close()


async def check_answers(page: Page, engine: AsyncEngine) -> None:
    """Assert that each message has one turn, and that its answer is complete if the turn is."""
    query = """
        SELECT turns.status, coalesce(answer.text, '') FROM turns
        LEFT JOIN thread_items AS answer ON answer.turn_id = turns.id AND answer.type = 'assistant_message'
        WHERE turns.thread_id = :id ORDER BY turns.started_at
    """
    answers = await select(engine, query, id=page.thread_id)
    assert len(answers) == len(page.sent)
    for status, words in answers:
        assert words == WHOLE if status == "completed" else WHOLE.startswith(words)


async def test_a_stopping_worker_cuts_the_readers_of_remote_turns(forked: Fork, upstream: OpenAIServer) -> None:
    """It does so at once if it runs no turn itself; the page re-attaches after a broken connection."""
    here, there = await forked(), await forked(drain_seconds=60)
    upstream.script(Answer("one two three four", hang_after=2))
    async with here.tab() as tab, asking(tab, "Count", DETACH) as first:
        await read_up_to(first, "one two")
        async with there.tab(tab) as second, attaching(second, first.thread_id, DETACH) as again:
            await read_up_to(again, "one two")
            there.terminate()
            with pytest.raises(aiohttp.ClientPayloadError):
                await again.read()
        assert await there.gone(within=30) == -signal.SIGTERM
        async with here.tab(tab) as second, attaching(second, first.thread_id, DETACH) as again:
            upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert (
            again.picture.texts() == first.picture.texts() == [("user", "Count"), ("assistant", "one two three four")]
        )
