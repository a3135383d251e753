"""Approvals inside an exported workflow: the decision calls it again, with the results of its earlier runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    HostedMCPTool,
    InputGuardrailTripwireTriggered,
    RunContextWrapper,
    Runner,
    function_tool,
    input_guardrail,
)
from pydantic import BaseModel

from chatkit_server import ask_user, client_tool
from tests.interactions import approval_export
from tests.interactions.cards import both_databases
from tests.interactions.test_approvals import approvals, badge, buttons, cards, lines_of, outputs, press
from tests.interactions.test_questions import answer
from tests.serving import Tab
from tests.support.openai_answers import Answer, McpApproval, ToolCall
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
        chat.upstream.script(*FOUND)
        await tab.send(thread_id, "And order 8?")
    history = outputs(
        chat.upstream.requests.pop(5).body["input"]
    )  # the clerk's call was in one turn, its output in another
    assert history == {"call_of_look_up": "order 7 costs 20 euros", "call_of_refund": "order 7 is paid back"}
    assert len(chat.upstream.requests) == 5
    chat.upstream.requests.pop()
    last = chat.upstream.requests[-1].body["input"]
    assert outputs(last) == {"call_of_look_up": "order 7 costs 20 euros", "call_of_refund": "order 7 is paid back"}
    assert last[0] == chat.upstream.requests[0].body["input"][0]  # the user's message, without the cards
    assert all(tokens and tokens < 1000 for (tokens,) in rows), rows
    assert len(rows) == 3


async def test_a_rejected_question_is_false_and_the_thread_continues(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        chat.upstream.script(Answer("I keep your money."))
        reply = await press(tab, thread_id, cards(tab, thread_id)[0], "Reject")
        assert (reply.error, reply.text) == (None, "I keep your money.")
        assert badge(cards(tab, thread_id)[0]) == "Rejected"
        assert await approvals(chat, thread_id) == [("", "Pay order 7 back?", "rejected", "resumed", False)]
        rows = await chat.select("SELECT text FROM thread_items WHERE type = 'widget'")
        assert rows == [("Pay order 7 back?: Rejected",)]

        chat.upstream.script(*FOUND)
        await tab.send(thread_id, "And now?")
        assert len(cards(tab, thread_id)) == 2
        history = chat.upstream.requests[3].body["input"]
        assert "I keep your money." in str(history)
        assert outputs(history) == {"call_of_look_up": "order 7 costs 20 euros"}


async def test_a_rejected_tool_of_a_workflow_does_not_run(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        chat.upstream.script(ASKS, Answer("Then I leave it."))
        await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        assert (await press(tab, thread_id, cards(tab, thread_id)[1], "Reject")).text == "Then I leave it."
        assert "refund 7" not in calls
        assert "rejected" in outputs(chat.upstream.requests[-1].body["input"])["call_of_refund"]


@both_databases
async def test_a_workflow_continues_after_a_restart_on_another_worker(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        second = await start(approval_export.run_workflow)
        async with second.tab(cookies=tab.cookies) as page:
            page.pictures[thread_id] = await page.reload(thread_id)
            chat.upstream.script(ASKS)
            assert (await press(page, thread_id, cards(page, thread_id)[0], "Approve")).error is None
            third = await start(approval_export.run_workflow)
            async with third.tab(cookies=tab.cookies) as last:
                last.pictures[thread_id] = await last.reload(thread_id)
                chat.upstream.script(DONE)
                reply = await press(last, thread_id, cards(last, thread_id)[1], "Approve")
                assert reply.text == "Your money is on its way."
    assert calls == ["begin", "look_up 7", "begin", "begin", "refund 7"]


async def test_a_second_click_does_not_run_the_workflow_again(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        (card,) = cards(tab, thread_id)
        chat.upstream.script(ASKS)
        assert (await press(tab, thread_id, card, "Approve")).error is None
        again = await press(tab, thread_id, card, "Reject")
        assert "already been approved" in again.events[0]["message"]
        assert calls == ["begin", "look_up 7", "begin"]


async def test_a_new_message_closes_the_question_and_begins_anew(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        (card,) = cards(tab, thread_id)
        ((turn_id,),) = await chat.select("SELECT id FROM turns WHERE thread_id = :id", id=thread_id)
        assert (await chat.stop(tab, turn_id))[1]["status"] == "completed"  # nothing runs while a card waits
        assert list(buttons((await tab.reload(thread_id)).of_type("widget")[0])) == ["Approve", "Reject"]
        chat.upstream.script(*FOUND)
        assert (await tab.send(thread_id, "Order 7, I mean")).error is None
        assert calls == ["begin", "look_up 7"] * 2
        old, new = cards(tab, thread_id)
        assert badge(old).startswith("Not run")
        assert list(buttons(new)) == ["Approve", "Reject"]
        assert "did not decide about the question “Pay order 7 back?”" in str(chat.upstream.requests[2].body["input"])
        assert "the conversation continued" in (await press(tab, thread_id, card, "Approve")).events[0]["message"]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


async def test_a_retry_begins_the_workflow_anew(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        chat.upstream.script(*FOUND)
        assert (await tab.retry(thread_id, tab.pictures[thread_id].items[0]["id"])).error is None
        (card,) = cards(tab, thread_id)
        chat.upstream.script(Answer("No."))
        assert (await press(tab, thread_id, card, "Reject")).text == "No."
        assert calls == ["begin", "look_up 7", "begin", "look_up 7", "begin"]


async def test_a_workflow_that_has_changed_says_so_on_the_card(start: Start, calls: list[str]) -> None:
    async def other_workflow(workflow_input: approval_export.WorkflowInput) -> Any:
        return {"output_text": (await Runner.run(approval_export.refuser, "No")).final_output}

    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        changed = await start(other_workflow)
        async with changed.tab(cookies=tab.cookies) as page:
            page.pictures[thread_id] = await page.reload(thread_id)
            reply = await press(page, thread_id, cards(page, thread_id)[0], "Approve")
            assert reply.error is not None
            assert "the assistant has changed" in str(reply.events[-1])
            assert badge(cards(page, thread_id)[0]) == "Not run: the assistant has changed since it asked"
            assert (await page.reload(thread_id)).of_type("widget") == list(cards(page, thread_id))
            chat.upstream.script(Answer("Hello again."))
            assert (await page.send(thread_id, "Hello?")).text == "Hello again."


async def test_a_plain_answer_to_a_workflow_that_has_changed_is_a_conflict(start: Start, calls: list[str]) -> None:
    async def other_workflow(workflow_input: approval_export.WorkflowInput) -> Any:
        return {"output_text": "Something else."}

    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        await ask(chat, tab)
        ((turn_id,),) = await chat.select("SELECT id FROM turns")
        changed = await start(other_workflow)
        async with changed.tab(cookies=tab.cookies) as page:
            url = f"{changed.url}/api/turns/{turn_id}"
            async with page.session.get(url) as response:
                (waiting,) = (await response.json())["waiting"]
            answers = {"answers": [{"id": waiting["id"], "decision": "approved"}]}
            async with page.session.post(f"{url}/answers", json=answers) as response:
                assert (response.status, (await response.json())["code"]) == (409, "approval_over")


async def test_a_workflow_whose_agent_lost_its_tool_decides_nothing(start: Start, calls: list[str]) -> None:
    chat = await start(approval_export.run_workflow)
    async with await chat.visitor() as tab:
        thread_id = await ask(chat, tab)
        chat.upstream.script(ASKS)
        await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        tools, approval_export.clerk.tools = approval_export.clerk.tools, []
        try:
            reply = await press(tab, thread_id, cards(tab, thread_id)[1], "Approve")
        finally:
            approval_export.clerk.tools = tools
        assert "the assistant has changed" in str(reply.events[-1])
        assert (await approvals(chat, thread_id))[1][2:] == (None, "expired", False)


class Order(BaseModel):
    item: str


SHOP = HostedMCPTool(
    tool_config={
        "type": "mcp",
        "server_label": "shop",
        "server_url": "https://shop.example",
        "require_approval": "always",
    }
)


@pytest.mark.parametrize(("label", "approve"), [("Approve", True), ("Reject", False)])
async def test_two_hosted_mcp_calls_of_a_step_and_one_of_the_next_run(start: Start, label: str, approve: bool) -> None:
    buyer = Agent(name="Buyer", tools=[SHOP], output_type=Order)
    seller = Agent(name="Seller", tools=[SHOP])

    async def run_workflow(workflow_input: approval_export.WorkflowInput) -> Any:
        bought = await Runner.run(buyer, workflow_input.input_as_text)
        sold = await Runner.run(seller, bought.to_input_list())
        return {"output_text": sold.final_output_as(str), "order": bought.final_output_as(Order).item}

    chat = await start(run_workflow)
    async with await chat.visitor() as tab:
        requests = [McpApproval("shop", "buy", {"item": item}, f"mcpr_{item}") for item in ("tea", "milk")]
        chat.upstream.script(Answer(output=requests))
        thread_id = (await tab.create("Buy tea")).thread_id
        tea, milk = cards(tab, thread_id)
        assert (await press(tab, thread_id, milk, "Approve")).text == ""
        sell = McpApproval("shop", "sell", {"item": "tea"}, "mcpr_sell")
        chat.upstream.script(Answer('{"item": "tea"}'), Answer(output=[sell]))
        assert (await press(tab, thread_id, tea, label)).error is None
        chat.upstream.script(Answer("Sold."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[2], label)).text == "Sold."
        picture = await tab.reload(thread_id)
        assert picture.items == tab.pictures[thread_id].items
        (steps,) = picture.of_type("workflow")
        assert [task["title"] for task in steps["workflow"]["tasks"]] == ["Buyer"]
    responses = {
        item["approval_request_id"]: item["approve"]
        for item in chat.upstream.requests[-1].body["input"]
        if item.get("type") == "mcp_approval_response"
    }
    assert responses == {"mcpr_tea": approve, "mcpr_milk": True, "mcpr_sell": approve}


@pytest.mark.parametrize("context", [None, {"state_tier": "gold"}], ids=["ours", "the workflow's own"])
async def test_the_answers_of_the_page_and_of_the_user_continue_a_workflow(start: Start, context: Any) -> None:
    @client_tool
    async def get_selection() -> str:  # type: ignore[empty-body]
        """Returns what is selected."""

    reader = Agent(name="Reader", tools=[get_selection], output_type=Order)
    asker = Agent(name="Asker", tools=[ask_user])

    async def run_workflow(workflow_input: approval_export.WorkflowInput) -> Any:
        order = (await Runner.run(reader, workflow_input.input_as_text, context=context)).final_output
        return {"output_text": (await Runner.run(asker, f"Sell {order.item}", context=context)).final_output}

    chat = await start(run_workflow)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("get_selection", {}, "call_of_page")]))
        thread_id = (await tab.create("Sell this")).thread_id
        questions = [{"question": "Which colour?", "options": [], "multiple": False}]
        asks = Answer(tool_calls=[ToolCall("ask_user", {"questions": questions}, "call_of_question")])
        chat.upstream.script(Answer('{"item": "tea"}'), asks)
        assert (await tab.tool_output(thread_id, {"text": "tea"})).error is None
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        chat.upstream.script(Answer("A green one is sold."))
        reply = await answer(tab, thread_id, question, {"answers": {"q1": {"values": ["green"]}}})
        assert (reply.error, reply.text) == (None, "A green one is sold.")
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
    inputs = [request.body["input"] for request in chat.upstream.requests]
    assert outputs(inputs[1]) == {"call_of_page": json.dumps({"text": "tea"})}
    assert "Sell tea" in str(inputs[2])
    assert "Sell tea" in str(inputs[3])
    assert "green" in str(inputs[3])
    assert len(inputs) == 4


async def test_errors_and_contexts_of_earlier_runs_are_as_they_were(start: Start, calls: list[str]) -> None:
    @input_guardrail
    async def no_jokes(context: Any, agent: Agent[Any], input: Any) -> GuardrailFunctionOutput:
        calls.append("guardrail")
        await chat.upstream.wait_for_request()  # of the agent, which runs beside it: it gets the first answer
        return GuardrailFunctionOutput(output_info="a joke", tripwire_triggered=True)

    @function_tool
    def note(context: RunContextWrapper[dict[str, str]], word: str) -> str:
        """Notes a word."""
        context.context["word"] = word
        return "noted"

    guarded = Agent(name="Guarded", input_guardrails=[no_jokes])
    noter = Agent(name="Noter", tools=[note])

    async def run_workflow(workflow_input: approval_export.WorkflowInput) -> Any:
        context: dict[str, str] = {}
        try:
            await Runner.run(guarded, workflow_input.input_as_text)
        except InputGuardrailTripwireTriggered as error:
            calls.append(str(error))
        await Runner.run(noter, "Note", context=context)
        calls.append(context["word"])
        return {"output_text": (await Runner.run(approval_export.clerk, "Pay")).final_output}

    chat = await start(run_workflow)
    async with await chat.visitor() as tab:
        noted = [Answer(tool_calls=[ToolCall("note", {"word": "tea"})]), Answer("Noted.")]
        chat.upstream.script(Answer("Ha."), *noted, ASKS)
        thread_id = (await tab.create("A joke")).thread_id
        chat.upstream.script(DONE)
        reply = await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        assert (reply.error, reply.text) == (None, "Your money is on its way.")
        assert [text for role, text in (await tab.reload(thread_id)).texts()].count("Noted.") == 1
    guardrail, message, *rest = calls
    assert rest == ["tea", message, "tea", "refund 7"]
    assert guardrail == "guardrail"
