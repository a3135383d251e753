"""Approvals inside an exported workflow: the decision calls it again, with the results of its earlier runs."""

from collections.abc import Iterator

import pytest

from tests.interactions import approval_export
from tests.interactions.cards import both_databases
from tests.interactions.test_approvals import approvals, badge, buttons, cards, lines_of, outputs, press
from tests.serving import Tab
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.conftest import Start

FOUND = [Answer(tool_calls=[ToolCall("look_up", {"order": 7}, "call_of_look_up")]), Answer('{"order": 7}')]
ASKS = Answer("One moment.", tool_calls=[ToolCall("refund", {"order": 7}, "call_of_refund")])
DONE = Answer("Your money is on its way.")


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """What the workflow and its tools did."""
    approval_export.calls.clear()
    yield approval_export.calls
    approval_export.calls.clear()


async def ask(chat: Chat, tab: Tab, words: str = "Give me my money back") -> str:
    chat.upstream.script(*FOUND)
    reply = await tab.create(words)
    assert reply.error is None
    return reply.thread_id


@both_databases
async def test_a_placeholder_asks_the_user_and_a_tool_asks_after_it(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        (question,) = cards(tab, thread_id)
        assert lines_of(question) == ["Pay order 7 back?"]
        assert list(buttons(question)) == ["Approve", "Reject"]
        assert calls == ["begin", "look_up 7"]
        assert await approvals(chat, thread_id) == [("", "Pay order 7 back?", None, "waiting", True)]

        chat.upstream.script(ASKS)
        reply = await press(tab, thread_id, question, "Approve")
        assert reply.error is None
        _, call = cards(tab, thread_id)
        assert calls == ["begin", "look_up 7", "begin"]
        assert badge(cards(tab, thread_id)[0]) == "Approved"

        chat.upstream.script(DONE)
        reply = await press(tab, thread_id, call, "Approve")
        assert (reply.error, reply.text) == (None, "Your money is on its way.")
        assert calls == ["begin", "look_up 7", "begin", "begin", "refund 7"]
        picture = await tab.reload(thread_id)
        assert picture.items == tab.pictures[thread_id].items
        kinds = [item["type"] for item in picture.items]
        assert kinds == ["user_message", "workflow", "widget", "assistant_message", "widget", "assistant_message"]
        (steps,) = picture.of_type("workflow")
        assert [task["title"] for task in steps["workflow"]["tasks"]] == ["Request finder"]
        rows = await chat.select(
            "SELECT input_tokens FROM turns WHERE thread_id = :id ORDER BY started_at", id=thread_id
        )
    assert len(chat.upstream.requests) == 4
    last = chat.upstream.requests[-1].body["input"]
    assert outputs(last) == {"call_of_look_up": "order 7 costs 20 euros", "call_of_refund": "order 7 is paid back"}
    assert last[0] == chat.upstream.requests[0].body["input"][0]  # the user's message, without the cards
    assert all(tokens and tokens < 1000 for (tokens,) in rows), rows
    assert len(rows) == 3
