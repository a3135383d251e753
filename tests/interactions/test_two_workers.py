"""Two workers get what answers the same thing: one of them takes it, and nothing that was answered is lost.

The second worker has looked at the thread, and is slow to start its turn.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chatkit_store import TurnStore
from tests.interactions.cards import both_databases
from tests.interactions.test_approvals import outputs
from tests.interactions.test_client_tools import AGENT as PAGE_AGENT
from tests.interactions.test_client_tools import SELECT
from tests.interactions.test_questions import AGENT as ASKING_AGENT
from tests.interactions.test_questions import ASK, answer
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import Answer
from tests.support.sse import Json
from tests.turns.chat import Chat
from tests.turns.conftest import Start

pytestmark = both_databases


@asynccontextmanager
async def slow(worker: Chat, work: Coroutine[Any, Any, Reply]) -> AsyncIterator["asyncio.Task[Reply]"]:
    """The work of a worker that has accepted a request and starts its turn at the end of this block."""
    reached, go = asyncio.Event(), asyncio.Event()
    store: Any = worker.services.turns._turns
    start = TurnStore.start

    async def wait(*args: Any, **more: Any) -> None:
        reached.set()
        await go.wait()
        await start(store, *args, **more)

    store.start = wait
    task = asyncio.create_task(work)
    async with asyncio.timeout(10):
        await reached.wait()
    yield task
    go.set()
    await asyncio.wait([task])


def large(size: str = "L") -> Json:
    return {"answers": {"q1": {"values": [size]}}}


async def asked(chat: Chat, tab: Tab) -> tuple[str, Json]:
    """A thread whose agent asks, and the question."""
    chat.upstream.script(ASK)
    thread_id = (await tab.create("I want a shirt")).thread_id
    (question,) = tab.pictures[thread_id].of_type("structured_input")
    chat.upstream.default = Answer("A shirt.")
    return thread_id, question


@pytest.mark.parametrize("is_same_request", [False, True])
async def test_a_question_is_answered_once(start: Start, is_same_request: bool) -> None:
    """The same request: a proxy's 502, after which the frame posts its bytes again."""
    one, two = await start(ASKING_AGENT), await start(ASKING_AGENT)
    async with await one.visitor() as tab, two.tab(cookies=tab.cookies) as other:
        thread_id, question = await asked(one, tab)
        if is_same_request:
            other.frame_id = tab.frame_id
        late_answer = large() if is_same_request else large("S")
        async with slow(two, answer(other, thread_id, question, late_answer)) as late:
            assert (await answer(tab, thread_id, question, large())).text == "A shirt."
        assert late.result().types == ["error"]
        assert "already answered" in str(late.result().error)
        (kept,) = (await tab.reload(thread_id)).of_type("structured_input")
        assert kept["inputs"][0]["answer"]["values"] == ["L"]
    assert len(one.upstream.requests) == 2


async def test_a_tool_of_the_page_is_answered_once(start: Start) -> None:
    one, two = await start(PAGE_AGENT), await start(PAGE_AGENT)
    async with await one.visitor() as tab, two.tab(cookies=tab.cookies) as other:
        one.upstream.script(Answer(tool_calls=[SELECT]), Answer("Done."))
        thread_id = (await tab.create("Go")).thread_id
        async with slow(two, other.tool_output(thread_id, "second")) as late:
            assert (await tab.tool_output(thread_id, "first")).text == "Done."
        assert late.result().types == ["error"]
        assert len(one.upstream.requests) == 2
        assert (await tab.reload(thread_id)).texts() == [("user", "Go"), ("assistant", "Done.")]


async def test_the_next_message_keeps_an_output_that_came_meanwhile(start: Start) -> None:
    one, two = await start(PAGE_AGENT), await start(PAGE_AGENT)
    async with await one.visitor() as tab, two.tab(cookies=tab.cookies) as other:
        one.upstream.script(Answer(tool_calls=[SELECT]), Answer("Done."), Answer("Next."))
        thread_id = (await tab.create("Go")).thread_id
        async with slow(two, other.send(thread_id, "Next")) as late:
            assert (await tab.tool_output(thread_id, "first")).text == "Done."
        assert late.result().text == "Next."
        told = one.upstream.requests[-1].body["input"]
        assert list(outputs(told).values()) == [json.dumps("first")]
