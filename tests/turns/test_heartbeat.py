"""A heartbeat compares the turns that a worker runs with those that the database has."""

import asyncio
from typing import Any

import pytest

from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.turns.coming_back import asking, read_up_to, within
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)


async def test_a_turn_that_is_saved_after_the_heartbeats_query_goes_on(
    start: Start, upstream: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy event loop gets the query's result when the new turn already runs: it is missing there, but not lost."""
    chat = await start(heartbeat_seconds=0.05)
    store = chat.services.turn_store
    query, save = store.running_by, store.start
    saving, queried, compared = (asyncio.Event() for _ in range(3))

    async def query_before_the_save(worker_id: str) -> frozenset[str]:
        if queried.is_set():
            compared.set()
        is_first = saving.is_set() and not queried.is_set()
        turn_ids = await query(worker_id)
        if is_first:
            queried.set()
            await upstream.wait_for_request(1)
        return turn_ids

    async def save_after_the_query(*args: Any, **options: Any) -> list[str]:
        saving.set()
        await queried.wait()
        return await save(*args, **options)

    monkeypatch.setattr(store, "running_by", query_before_the_save)
    monkeypatch.setattr(store, "start", save_after_the_query)
    upstream.script(COUNT)
    async with await chat.visitor() as tab, asking(tab, "Count") as reply:
        await within(compared)
        await read_up_to(reply, "one two")
        upstream.release()
        await reply.read()
        assert reply.error is None
        assert await chat.turns(reply.thread_id) == [("completed", None)]
