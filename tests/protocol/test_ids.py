"""Items keep distinct ids even if every provider id is the same (T5, T6), with the real client over HTTP."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent, function_tool
from agents.testing import assistant_message, function_call

from tests.protocol.requirements import covers
from tests.serving import Served, Tab, serve
from tests.stage import Stage, tool
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

TURNS = 4


@function_tool
async def lookup(word: str) -> str:
    """Look a word up."""
    return f"{word} means something"


@pytest_asyncio.fixture(loop_scope="module")
async def upstream() -> AsyncIterator[OpenAIServer]:
    """A model endpoint; its Chat Completions carry no item ids, so the Agents SDK sets all of them to `__fake_id__`."""
    async with OpenAIServer() as upstream:
        yield upstream


@covers("ids.distinct", "order.first_appearance")
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
async def test_four_turns_with_a_tool_call_each_keep_items_distinct_and_in_order(
    upstream: OpenAIServer, tmp_path_factory: pytest.TempPathFactory, api: str
) -> None:
    for n in range(TURNS):
        call = ToolCall("lookup", {"word": f"w{n}"}, call_id="call_same")
        upstream.script(Answer(f"Let me see {n}.", tool_calls=[call]), Answer(f"Found {n}."))
    settings: dict[str, Any] = {
        "model": "gpt-test",
        "base_url": upstream.base_url,
        "api": api,
        "openai_api_key": "sk-test",
    }
    agent = Agent(name="Reader", tools=[lookup])
    async with serve(tmp_path_factory.mktemp("ids"), agent, **settings) as served, served.tab() as tab:
        await check_conversation(served, tab, [f"Let me see {n}." for n in range(TURNS)])
    assert len(upstream.requests) == 2 * TURNS


@covers("ids.distinct")
async def test_items_of_a_model_with_constant_ids_stay_distinct(served: Served, stage: Stage, tab: Tab) -> None:
    async def act(context: Any) -> str:
        return "looked up"

    steps: list[Any] = []
    for n in range(TURNS):
        steps.append([assistant_message(f"Let me see {n}."), function_call("act", {}, call_id="call")])
        steps.append(f"Found {n}.")
    stage.play(*steps, tools=[tool("act", act)])
    await check_conversation(served, tab, [f"Let me see {n}." for n in range(TURNS)])


async def check_conversation(served: Served, tab: Tab, answers: Sequence[str]) -> None:
    """Send four messages; the thread must be the same live, after a reload, and in the database."""
    reply = await tab.create("Question 0")
    for n in range(1, TURNS):
        assert (await tab.send(reply.thread_id, f"Question {n}")).error is None
    expected = [
        line
        for n in range(TURNS)
        for line in (("user", f"Question {n}"), ("assistant", answers[n]), ("assistant", f"Found {n}."))
    ]
    picture = tab.pictures[reply.thread_id]
    assert picture.texts() == expected
    ids = [item["id"] for item in picture.items]
    assert len(set(ids)) == len(ids) == 3 * TURNS
    assert (await tab.reload(reply.thread_id)).items == picture.items
    rows = await served.rows(
        "SELECT item_id, role, text FROM messages WHERE thread_id = :id ORDER BY position", id=reply.thread_id
    )
    assert [(row["role"], row["text"]) for row in rows] == expected
    assert [row["item_id"] for row in rows] == ids
