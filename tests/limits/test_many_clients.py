"""Fifty clients at once: two worker processes on PostgreSQL allow exactly as many as the limit, one on SQLite, too."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.workers.conftest import Fork
from tests.workers.processes import Worker
from tests.workers.sql import select

CLIENTS = 50
Refusals = list[tuple[str, str | None]]
"""The code and the `Retry-After` of each."""


@pytest.fixture
def start(forked: Fork, database_url: str) -> Callable[..., Awaitable[list[Worker]]]:
    """Start the workers of a test."""

    async def start(**settings: Any) -> list[Worker]:
        count = 2 if database_url.startswith("postgresql") else 1
        return [await forked(**settings) for _ in range(count)]

    return start


class Crowd:
    """Clients of all workers, with the cookies of one user or without any."""

    def __init__(self, workers: Sequence[Worker], cookies: aiohttp.abc.AbstractCookieJar | None) -> None:
        self._workers = workers
        self._cookies = cookies
        self.allowed = 0
        self.refused: Refusals = []
        self.others: list[int] = []

    async def ask(self, number: int) -> None:
        """Send a message, and count the response by its status; an answer is read to its end."""
        async with self._session() as http, http.post(self._url(number, "/api/message"), json=HELLO) as response:
            await self._count(response)

    async def upload(self, number: int) -> None:
        """Upload a file of 300 bytes."""
        form = aiohttp.FormData()
        form.add_field("file", b"a" * 300, filename="a.txt", content_type="text/plain")
        async with self._session() as http, http.post(self._url(number, "/api/attachments"), data=form) as response:
            await self._count(response)

    async def _count(self, response: aiohttp.ClientResponse) -> None:
        body = await response.json()
        if response.status == 429:
            self.refused.append((body["code"], response.headers.get("retry-after")))
        elif response.status == 200:
            self.allowed += 1
        else:
            self.others.append(response.status)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(cookie_jar=self._cookies or aiohttp.DummyCookieJar())

    def _url(self, number: int, path: str) -> str:
        return self._workers[number % len(self._workers)].url + path


HELLO = {"message": "Hello"}


async def jar(worker: Worker) -> aiohttp.abc.AbstractCookieJar:
    """Return the cookies of a new user."""
    async with worker.tab() as tab:
        await tab.list()
        return tab.cookies


async def all_at_once(crowd: Crowd, action: Callable[[int], Awaitable[None]]) -> Crowd:
    await asyncio.gather(*(action(number) for number in range(CLIENTS)))
    assert crowd.others == []
    return crowd


async def test_turns_of_a_minute_and_bytes_of_files(
    start: Callable[..., Awaitable[list[Worker]]], engine: AsyncEngine
) -> None:
    workers = await start(turns_per_minute=7, file_bytes_per_user=1000)
    user = await jar(workers[0])
    began = datetime.now(UTC)
    crowd = Crowd(workers, user)
    await all_at_once(crowd, crowd.ask)
    assert crowd.allowed == 7
    assert len(await select(engine, "SELECT id FROM turns")) == 7
    assert {code for code, _ in crowd.refused} == {"limit_reached"}
    took = datetime.now(UTC) - began
    for _, seconds in crowd.refused:
        assert timedelta(seconds=60) - took <= timedelta(seconds=int(seconds or 0)) <= timedelta(seconds=60)
    files = Crowd(workers, user)
    await all_at_once(files, files.upload)
    assert files.allowed == 3
    assert Counter(files.refused) == {("limit_reached", None): 47}


async def test_running_turns(
    start: Callable[..., Awaitable[list[Worker]]], engine: AsyncEngine, upstream: OpenAIServer
) -> None:
    upstream.script(*[Answer("one two", hang_after=1)] * 4)
    workers = await start(running_turns_per_user=4)
    crowd = Crowd(workers, await jar(workers[0]))
    posts = [asyncio.create_task(crowd.ask(number)) for number in range(CLIENTS)]
    async with asyncio.timeout(30):
        while len(crowd.refused) < CLIENTS - 4:
            await asyncio.wait(posts, timeout=0.02)
        for number in range(4):
            await (await upstream.wait_for_request(number + 1, within=20)).wait_hanging(within=20)
    assert (crowd.allowed, crowd.others, len(crowd.refused)) == (0, [], CLIENTS - 4)
    upstream.release()
    await asyncio.gather(*posts)
    assert crowd.allowed == 4
    assert {seconds for _, seconds in crowd.refused} == {"5"}
    assert await select(engine, "SELECT count(*) FROM turns") == [(4,)]


async def test_threads_and_turns_of_an_address(start: Callable[..., Awaitable[list[Worker]]]) -> None:
    workers = await start(threads_per_user=5, turns_per_minute_per_address=9)
    user = Crowd(workers, await jar(workers[0]))
    await all_at_once(user, user.ask)
    assert user.allowed == 5
    assert Counter(user.refused) == {("limit_reached", None): 45}
    strangers = Crowd(workers, None)
    await all_at_once(strangers, strangers.ask)
    assert strangers.allowed == 4
    assert all(0 < int(seconds or 0) <= 60 for _, seconds in strangers.refused)


async def test_tokens_of_a_day(start: Callable[..., Awaitable[list[Worker]]]) -> None:
    workers = await start(tokens_per_day=1)
    crowd = Crowd(workers, await jar(workers[0]))
    await crowd.ask(0)
    assert crowd.allowed == 1
    await all_at_once(crowd, crowd.ask)
    assert crowd.allowed == 1
    now = datetime.now(UTC)
    left = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now
    for _, seconds in crowd.refused:
        assert left - timedelta(seconds=2) <= timedelta(seconds=int(seconds or 0)) <= left + timedelta(seconds=60)
