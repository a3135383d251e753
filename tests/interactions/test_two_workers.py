"""Two workers get answers to the same question or call: one of them wins, and no answer is lost.

The second worker has checked the thread and is slow to start its turn.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from chatkit_store import TurnStore
from tests.interactions.cards import both_databases
from tests.interactions.test_approvals import outputs
from tests.interactions.test_client_tools import AGENT as PAGE_AGENT
from tests.interactions.test_client_tools import SELECT
from tests.interactions.test_questions import AGENT as ASKING_AGENT
from tests.interactions.test_questions import ASK, answer
from tests.serving import Tab
from tests.support.openai_answers import Answer
from tests.support.sse import Json
from tests.turns.chat import Chat
from tests.turns.conftest import Start

pytestmark = both_databases

T = TypeVar("T")


@asynccontextmanager
async def slow(worker: Chat, work: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Task[T]"]:
    """Run `work` on a worker that accepts the request now and starts its turn at the end of this block."""
    reached, go = asyncio.Event(), asyncio.Event()
    store: Any = worker.services.turns._turns
    start = TurnStore.start

    async def wait(*args: Any, **more: Any) -> list[str]:
        reached.set()
        await go.wait()
        return await start(store, *args, **more)

    store.start = wait
    task = asyncio.create_task(work)
    async with asyncio.timeout(10):
        await reached.wait()
    yield task
    go.set()
    await asyncio.wait([task])


def size_answer(size: str = "L") -> Json:
    return {"answers": {"q1": {"values": [size]}}}


async def ask_question(chat: Chat, tab: Tab) -> tuple[str, Json]:
    """Create a thread in which the agent asks a question; return the thread's id and the question."""
    chat.upstream.script(ASK)
    thread_id = (await tab.create("I want a shirt")).thread_id
    (question,) = tab.pictures[thread_id].of_type("structured_input")
    chat.upstream.default = Answer("A shirt.")
    return thread_id, question


@pytest.mark.parametrize("is_same_request", [False, True])
async def test_a_question_is_answered_once(start: Start, is_same_request: bool) -> None:
    """With the same request: a proxy answered 502, and the frame posts its bytes again."""
    chat, slow_worker = await start(ASKING_AGENT), await start(ASKING_AGENT)
    async with await chat.visitor() as tab, slow_worker.tab(cookies=tab.cookies) as other:
        thread_id, question = await ask_question(chat, tab)
        if is_same_request:
            other.frame_id = tab.frame_id
        late_answer = size_answer() if is_same_request else size_answer("S")
        async with slow(slow_worker, answer(other, thread_id, question, late_answer)) as late:
            assert (await answer(tab, thread_id, question, size_answer())).text == "A shirt."
        assert late.result().types == ["error"]
        assert "already answered" in str(late.result().error)
        (stored,) = (await tab.reload(thread_id)).of_type("structured_input")
        assert stored["inputs"][0]["answer"]["values"] == ["L"]
    assert len(chat.upstream.requests) == 2


async def test_a_client_tool_call_is_answered_once(start: Start) -> None:
    chat, slow_worker = await start(PAGE_AGENT), await start(PAGE_AGENT)
    async with await chat.visitor() as tab, slow_worker.tab(cookies=tab.cookies) as other:
        chat.upstream.script(Answer(tool_calls=[SELECT]), Answer("Done."))
        thread_id = (await tab.create("Go")).thread_id
        async with slow(slow_worker, other.tool_output(thread_id, "second")) as late:
            assert (await tab.tool_output(thread_id, "first")).text == "Done."
        assert late.result().types == ["error"]
        assert len(chat.upstream.requests) == 2
        assert (await tab.reload(thread_id)).texts() == [("user", "Go"), ("assistant", "Done.")]


async def test_the_next_message_keeps_an_output_that_arrived_before_its_turn(start: Start) -> None:
    chat, slow_worker = await start(PAGE_AGENT), await start(PAGE_AGENT)
    async with await chat.visitor() as tab, slow_worker.tab(cookies=tab.cookies) as other:
        chat.upstream.script(Answer(tool_calls=[SELECT]), Answer("Done."), Answer("Next."))
        thread_id = (await tab.create("Go")).thread_id
        async with slow(slow_worker, other.send(thread_id, "Next")) as late:
            assert (await tab.tool_output(thread_id, "first")).text == "Done."
        assert late.result().text == "Next."
        model_input = chat.upstream.requests[-1].body["input"]
        assert list(outputs(model_input).values()) == [json.dumps("first")]
