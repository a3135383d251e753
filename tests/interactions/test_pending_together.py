"""Approvals, questions and client tools that are pending together: the model continues once, when all are answered."""

import json

import pytest

from chatkit_server import ask_user, client_tool
from chatkit_store import ApprovalStore, StoreUnavailable
from tests.interactions.test_approvals import Done, agent, approvals, badge, call, cards, outputs, press
from tests.interactions.test_questions import QUESTIONS, answer
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.conftest import Start

QUESTION = ToolCall("ask_user", {"questions": QUESTIONS[:1]}, "call_of_the_question")
LOOK = ToolCall("look", {"at": "it"}, "call_of_the_page")


@client_tool
def look(at: str) -> None:
    """Looks at the page."""


async def request_deletion(chat: Chat, tab: Tab, *more: ToolCall) -> str:
    """Create a thread in which the agent asks to delete an order and makes more calls; return its id."""
    chat.upstream.script(Answer(tool_calls=[*more, call(1)]))
    return (await tab.create("Delete it")).thread_id


async def choose_large(tab: Tab, thread_id: str) -> Reply:
    (question,) = tab.pictures[thread_id].of_type("structured_input")
    return await answer(tab, thread_id, question, {"answers": {"q1": {"values": ["L"]}}})


async def approve(tab: Tab, thread_id: str) -> Reply:
    return await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("is_approved_first", [True, False])
async def test_a_run_continues_with_the_answer_to_its_question(start: Start, is_approved_first: bool, api: str) -> None:
    done: Done = []
    chat = await start(agent(done, ask_user))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, QUESTION)
        chat.upstream.script(Answer("The large one is gone."))
        first, second = (approve, choose_large) if is_approved_first else (choose_large, approve)
        reply = await first(tab, thread_id)
        assert (reply.error, len(chat.upstream.requests), done) == (None, 1, [])
        assert (await second(tab, thread_id)).text == "The large one is gone."
        assert (len(chat.upstream.requests), len(done)) == (2, 1)
        body = json.dumps(chat.upstream.requests[1].body)
        assert body.count("order 1 is deleted") == 1
        assert "Which size?" in body.partition("order 1 is deleted")[2]
        chat.upstream.script(Answer("Fine."))
        assert (await tab.send(thread_id, "And now?")).text == "Fine."
    assert "interrupted" not in json.dumps(chat.upstream.requests[2].body)


async def test_a_run_that_is_approved_first_waits_for_the_page(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done, look))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, LOOK)
        chat.upstream.script(Answer("The red one is gone."))
        reply = await approve(tab, thread_id)
        assert (reply.error, len(chat.upstream.requests), done) == (None, 1, [])
        assert badge(cards(tab, thread_id)[0]) == "Approved"
        assert (await tab.tool_output(thread_id, "a red one")).text == "The red one is gone."
        assert outputs(chat.upstream.requests[1].body["input"]) == {
            "call_of_the_page": '"a red one"',
            "call_of_order_1": "order 1 is deleted",
        }


async def test_the_model_learns_that_a_decision_could_not_be_carried_out(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails when the run should resume."""
    done: Done = []
    chat = await start(agent(done))

    async def fail(*_: object) -> None:
        raise StoreUnavailable("away")

    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab)
        with monkeypatch.context() as broken:
            broken.setattr(ApprovalStore, "take", fail)
            assert (await approve(tab, thread_id)).error is not None
        assert [row[2:] for row in await approvals(chat, thread_id)] == [("approved", "waiting", True)]
        chat.upstream.script(Answer("Fine."))
        assert (await tab.send(thread_id, "And now?")).text == "Fine."
        assert "Not run" in badge(cards(tab, thread_id)[0])
    assert done == []
    assert "None of these calls was run." in json.dumps(chat.upstream.requests[1].body)


async def test_the_model_learns_that_an_approved_call_never_ran(start: Start) -> None:
    """The user sends a message before the page has answered."""
    done: Done = []
    chat = await start(agent(done, look))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, LOOK)
        await approve(tab, thread_id)
        chat.upstream.script(Answer("Fine."))
        assert (await tab.send(thread_id, "Never mind")).text == "Fine."
        assert "Not run" in badge(cards(tab, thread_id)[0])
        assert [row[2:] for row in await approvals(chat, thread_id)] == [("approved", "expired", False)]
    assert done == []
    assert "The user approved `delete_order` and continued" in json.dumps(chat.upstream.requests[1].body)
