"""More exports of Agent Builder as they come: end nodes with flags, nested loops, tasks at once, no answer in text."""

import asyncio
import json
from importlib import import_module
from typing import Any

import pytest

from tests.exports.inputs import inputs
from tests.exports.small import tasks_of
from tests.interactions.test_approvals import cards, lines_of, press
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import (
    MODEL_NOT_FOUND,
    SERVER_ERROR,
    Answer,
    McpApproval,
    McpCall,
    Text,
    ToolCall,
    WebSearch,
)
from tests.support.openai_server import ModelRequest
from tests.turns.chat import Chat, model_input
from tests.turns.coming_back import asking, read_up_to
from tests.turns.conftest import Start

HERE = "tests.exports.workflows"
BOTH_APIS = pytest.mark.parametrize("api", ["responses", "chat_completions"])
PEOPLE = "    - **Name:** Ann\n        - **Age:** {}\n    - **Name:** Bob\n        - **Age:** {}"
pytestmark = pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # Agent Builder exports it


async def answers(tab: Tab, reply: Reply) -> list[str]:
    """Return the thread's answers, which a reload shows as the stream did."""
    picture = await tab.reload(reply.thread_id)
    assert picture.items == tab.pictures[reply.thread_id].items
    assert "loading" not in str(picture.items)
    return [text for role, text in picture.texts() if role == "assistant"]


@BOTH_APIS
async def test_an_end_node_with_flags_shows_only_what_an_agent_said(start: Start) -> None:
    chat = await start(f"{HERE}.sales:run_workflow")
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer('{"interest_area": "product"}'), Answer("Buy it."))
        first = await tab.create("What is it?")
        assert await answers(tab, first) == ["Buy it."]
        reply = '{"reply": "Hi there.", "confidence": 0.5}'
        chat.upstream.script(Answer('{"interest_area": "smalltalk"}'), Answer(reply))
        assert (await tab.send(first.thread_id, "Hello")).text == "- **Reply:** Hi there.\n- **Confidence:** 0.5"
        chat.upstream.script(Answer(fail=SERVER_ERROR))
        failed = await tab.send(first.thread_id, "And now?")
        assert "Error code: 500" in failed.text, "the export shows the error that it catches"
        chat.upstream.script(Answer('{"interest_area": "product"}'), Answer("Buy two."))
        again = await tab.retry(first.thread_id, failed.user_item["id"])
        assert await answers(tab, again) == ["Buy it.", "- **Reply:** Hi there.\n- **Confidence:** 0.5", "Buy two."]
        await tab.session.close()
        await chat.quiet()
    history = [("user", "What is it?"), ("assistant", "Buy it.")]
    assert model_input(chat.upstream.requests[2])[:2] == history


async def test_a_message_that_a_guardrail_stopped_is_forgotten_whatever_the_end_node_says(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await start(f"{HERE}.sales:run_workflow")
    async with await chat.visitor() as tab:
        with monkeypatch.context() as patch:
            (guardrail,) = import_module(f"{HERE}.sales").input_safety_check_config["guardrails"]
            patch.setitem(guardrail["config"], "block", True)
            stopped = await tab.create("I am ann@shop.example")
        assert (stopped.error, stopped.text) == (None, "- **Failed:** no\n- **Reason:**")
        chat.upstream.script(Answer('{"interest_area": "product"}'), Answer("Buy it."))
        assert (await tab.send(stopped.thread_id, "What is it?")).text == "Buy it."
    assert len(chat.upstream.requests) == 2
    assert "ann@shop.example" not in str([request.body for request in chat.upstream.requests])


@BOTH_APIS
async def test_approvals_in_nested_loops(start: Start) -> None:
    chat = await start(f"{HERE}.nested_approvals:run_workflow")
    plan = Answer('{"plan": "Do this.", "step_count": 3}')
    async with await chat.visitor() as tab:
        chat.upstream.script(plan)
        first = await tab.create("Go")
        for label, draft in [("Approve", "A"), ("Reject", "B"), ("Approve", "C")]:
            chat.upstream.script(Answer(draft))
            assert (await press(tab, first.thread_id, cards(tab, first.thread_id)[-1], label)).text == draft
        last = await press(tab, first.thread_id, cards(tab, first.thread_id)[-1], "Approve")
        assert (last.error, last.text) == (None, ""), "it returns the plan, and three answers have followed that"
        assert await answers(tab, first) == ["A", "B", "C"]
        assert lines_of(cards(tab, first.thread_id)[0]) == ["Follow the plan Do this.?"]
        chat.upstream.script(plan)
        await tab.send(first.thread_id, "Again")
        rejected = await press(tab, first.thread_id, cards(tab, first.thread_id)[-1], "Reject")
        assert (rejected.error, rejected.text) == (None, "")
        await answers(tab, first)
    last_writer = [text for _, text in model_input(chat.upstream.requests[3])]
    assert "".join(last_writer).partition("3}")[2].replace("\n", "").startswith("AB"), "after the plan, once each"


async def test_two_users_approve_at_once(start: Start) -> None:
    chat = await start(f"{HERE}.nested_approvals:run_workflow")

    def answer(request: ModelRequest) -> Answer:
        (name,) = [name for name in ("Ada", "Bob") if name in str(request.body)]
        plan = json.dumps({"plan": f"Greet {name}.", "step_count": 1})
        return Answer(plan if "step_count" in str(request.body.get("text")) else f"Dear {name}")

    chat.upstream.default = answer
    async with await chat.visitor() as ada, await chat.visitor() as bob:
        replies = await asyncio.gather(ada.create("I am Ada"), bob.create("I am Bob"))
        threads = [(tab, reply.thread_id) for tab, reply in zip((ada, bob), replies, strict=True)]
        for _ in range(3):
            await asyncio.gather(*(press(tab, id, cards(tab, id)[-1], "Approve") for tab, id in threads))
        assert await answers(ada, replies[0]) == ["Dear Ada"] * 2
        assert await answers(bob, replies[1]) == ["Dear Bob"] * 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("transform", "- **People:** Ann, Bob\n- **Total:** 2"),
        ("model", "- **People:**\n" + PEOPLE.format(3.0, 4.0)),
        ("list", "- **Name:** Ann\n    - **Age:** 3.0\n- **Name:** Bob\n    - **Age:** 4.0"),
        ("history", "- **People:**\n" + PEOPLE.format(3, 4)),
    ],
)
async def test_a_workflow_without_an_agent_that_answers_in_text(start: Start, words: str, text: str) -> None:
    chat = await start(f"{HERE}.no_text:run_workflow")
    people = Answer('{"people": [{"name": "Ann", "age": 3}, {"name": "Bob", "age": 4}]}')
    chat.upstream.script(people, people)
    async with await chat.visitor() as tab:
        first = await tab.create(words)
        assert await answers(tab, first) == [text]
        assert (await tab.send(first.thread_id, words)).text == text
    assert inputs(chat.upstream)[1] == [("user", words), ("assistant", text), ("user", words)]


@BOTH_APIS
async def test_a_group_of_tasks(start: Start) -> None:
    chat = await start(f"{HERE}.parallel:run_workflow")
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Good."), Answer("Bad."), Answer('{"score": 3}'))
        first = await tab.create("Tea?")
        assert await answers(tab, first) == ["Good.", "Bad."]
        chat.upstream.script(Answer(fail=MODEL_NOT_FOUND))
        failed = await tab.send(first.thread_id, "Coffee?")
        assert failed.error is not None
        assert failed.error["message"].startswith("The configured model does not exist.")
        await stop(chat, tab, "Milk?")
    assert len(chat.upstream.requests) == 5


@pytest.mark.parametrize("name", ["endless", "streamed"])
async def test_stop_ends_an_export_that_would_go_on(start: Start, name: str) -> None:
    chat = await start(f"{HERE}.{name}:run_workflow")
    async with await chat.visitor() as tab:
        await stop(chat, tab, "Go")


async def stop(chat: Chat, tab: Tab, words: str) -> None:
    """Stop the next answer after its first word; nothing of it goes on."""
    chat.upstream.script(Answer("one two", hang_after=1))
    async with asking(tab, words) as reply:
        await read_up_to(reply, "one")
        status, _ = await chat.stop(tab, reply.headers["x-chatkit-turn-id"])
        await reply.read()
    assert status == 200
    assert await answers(tab, reply) == ["one"]
    await tab.session.close()
    await chat.quiet()


@BOTH_APIS
async def test_a_streamed_run_with_a_placeholder_tool(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    chat = await start(f"{HERE}.streamed:run_workflow", show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("show_card", {"title": "x"}, "c1")]), Answer("Here it is."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Show it")
        assert await answers(tab, reply) == ["Here it is."]
        assert tasks_of(tab.pictures[reply.thread_id]) == [("Show card", "complete")]
    assert "Here it is." in capsys.readouterr().err, "the workflow reads the deltas, too"


async def test_a_hosted_mcp_server_whose_calls_are_approved(start: Start) -> None:
    chat = await start(f"{HERE}.hosted_tools:run_workflow", show_tools=True)
    asks = McpApproval("gmail", "send_email", {"to": "ann"})
    sends: list[Any] = [McpCall("gmail", "send_email", {"to": "ann"}, "sent"), Text("It is sent.")]
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(output=[WebSearch("Ann"), asks]))
        first = await tab.create("Write to Ann")
        chat.upstream.script(Answer(output=sends))
        approved = await press(tab, first.thread_id, cards(tab, first.thread_id)[0], "Approve")
        assert (approved.error, approved.text) == (None, "It is sent.")
        assert await answers(tab, first) == ["It is sent."]
        chat.upstream.script(Answer("You are welcome."))
        assert (await tab.send(first.thread_id, "Thanks")).text == "You are welcome."
    assert chat.upstream.requests[1].body["instructions"] == "Help in Paris with Write to Ann"


@pytest.mark.parametrize("api", ["chat_completions"])
async def test_hosted_tools_are_refused_with_chat_completions(start: Start) -> None:
    chat = await start(f"{HERE}.hosted_tools:run_workflow")
    async with await chat.visitor() as tab:
        reply = await tab.create("Write to Ann")
        assert reply.error is not None
        assert reply.error["message"].startswith("The agent is not set up correctly.")
    assert chat.upstream.requests == []
