"""Tools that need an approval: a card asks, and the decision resumes the run, also after a restart."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from agents import Agent, FunctionTool, HostedMCPTool, function_tool

from chatkit_server import client_tool
from tests.interactions.cards import Context, both_databases
from tests.mcp.conftest import STDIO
from tests.serving import Tab
from tests.support.chatkit import ChatKitClient, Reply
from tests.support.openai_answers import Answer, McpApproval, ToolCall
from tests.support.sse import Json
from tests.turns.chat import Chat, model_input
from tests.turns.conftest import Start

Done = list[str]


def delete_order(done: Done) -> FunctionTool:
    """Return a tool that needs an approval and records that it ran."""

    @function_tool(needs_approval=True)
    async def delete_order(context: Context, number: int) -> str:
        """Deletes an order."""
        done.append(f"{number} for {context.context.request_context.user_id} in {context.context.thread.id}")
        return f"order {number} is deleted"

    return delete_order


def agent(done: Done, *more: Any) -> Agent[Any]:
    """Return an agent that may delete orders with an approval."""
    return Agent(name="Clerk", tools=[delete_order(done), *more])


def call(number: int) -> ToolCall:
    return ToolCall("delete_order", {"number": number}, f"call_of_order_{number}")


def cards(tab: ChatKitClient, thread_id: str) -> Sequence[Json]:
    return tab.pictures[thread_id].of_type("widget")


def buttons(card: Json) -> dict[str, Json]:
    """Return the actions of the card's buttons by their labels."""
    rows = [child for child in card["widget"]["children"] if child["type"] == "Row"]
    return {button["label"]: button["onClickAction"] for row in rows for button in row["children"]}


def badge(card: Json) -> str:
    (text,) = [child["label"] for child in card["widget"]["children"] if child["type"] == "Badge"]
    return str(text)


async def press(tab: ChatKitClient, thread_id: str, card: Json, label: str) -> Reply:
    """Click on a button of this card, as it was."""
    action = buttons(card)[label]
    return await tab.action(thread_id, action["type"], action["payload"], card["id"])


async def approvals(chat: Chat, thread_id: str) -> list[tuple[Any, ...]]:
    """Return rows: tool, arguments, decision, the run's status, whether the run's state is stored."""
    query = """SELECT a.tool, a.arguments, a.decision, r.status, r.state IS NOT NULL FROM approvals a
        JOIN paused_runs r ON r.id = a.run_id WHERE a.thread_id = :id ORDER BY r.created_at, a.place"""
    rows = await chat.select(query, id=thread_id)
    return [
        (tool, arguments, decision, status, bool(is_stored)) for tool, arguments, decision, status, is_stored in rows
    ]


def outputs(model_input: Any) -> dict[str, str]:
    """Return the tools' outputs by call id."""
    return {item["call_id"]: item["output"] for item in model_input if item.get("type") == "function_call_output"}


async def request_deletion(chat: Chat, tab: Tab, *numbers: int) -> str:
    """Create a thread in which the agent asks to delete these orders; return its id."""
    chat.upstream.script(Answer("Let me see.", tool_calls=[call(number) for number in numbers]))
    return (await tab.create("Delete them")).thread_id


@both_databases
@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_an_approved_tool_runs_and_the_run_continues(start: Start, api: str) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        (card,) = cards(tab, thread_id)
        assert list(buttons(card)) == ["Approve", "Reject"]
        assert "number: 17" in str(card)
        assert await approvals(chat, thread_id) == [("delete_order", '{"number": 17}', None, "waiting", True)]
        assert done == []
        assert await chat.turns(thread_id) == [("completed", None)]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items

        chat.upstream.script(Answer("Order 17 is gone."), Answer("Yes."))
        reply = await press(tab, thread_id, card, "Approve")
        assert (reply.error, reply.text) == (None, "Order 17 is gone.")
        user = (await chat.owner(thread_id)).user_id
        assert done == [f"17 for {user} in {thread_id}"]
        assert badge(cards(tab, thread_id)[0]) == "Approved"
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert await approvals(chat, thread_id) == [("delete_order", '{"number": 17}', "approved", "resumed", False)]
        assert (await tab.send(thread_id, "Really?")).text == "Yes."
        if api == "responses":
            for request in chat.upstream.requests[1:]:
                assert outputs(request.body["input"]) == {"call_of_order_17": "order 17 is deleted"}
        rows = await chat.select(
            "SELECT input_tokens FROM turns WHERE thread_id = :id ORDER BY started_at", id=thread_id
        )
        assert all(tokens and tokens < 1000 for (tokens,) in rows)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_a_run_is_resumed_in_a_thread_with_earlier_answers(start: Start, api: str) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Hello."))
        thread_id = (await tab.create("Hi")).thread_id
        chat.upstream.script(Answer(tool_calls=[call(1)]), Answer("Gone."))
        await tab.send(thread_id, "Delete it")
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).text == "Gone."
    paused, resumed = (model_input(request) for request in chat.upstream.requests[1:])
    assert resumed[: len(paused)] == paused == [("user", "Hi"), ("assistant", "Hello."), ("user", "Delete it")]


async def card_of(chat: Chat, tab: Tab, arguments: Json | str) -> tuple[str, Json]:
    """Return the thread id and the card for a call of `delete_order` with these arguments."""
    chat.upstream.script(Answer(tool_calls=[ToolCall("delete_order", arguments)]))
    thread_id = (await tab.create("Delete it")).thread_id
    (card,) = cards(tab, thread_id)
    return thread_id, card


def lines_of(card: Json) -> list[str]:
    return [child["value"] for child in card["widget"]["children"] if child["type"] == "Text"]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            {"query": "SELECT 1" + " " * 500 + "; DROP TABLE users"},
            ["query: SELECT 1 ⟨500 blanks⟩ ; DROP TABLE users"],
        ),
        ({"query": "a" + "\n\u3164" * 50 + "b"}, ["query: a ⟨100 blanks⟩ b"]),
        ({"query": "x" * 9000 + "DROP"}, ["query: " + "x" * 9000 + "DROP"]),
        ({f"a{n}": n for n in range(100)}, [f"a{n}: {n}" for n in range(100)]),
        ({"path": "\u202etxt.exe", "mode": "\x01rw\u200b"}, ["path: ⟨U+202E⟩txt.exe", "mode: ⟨U+0001⟩rw⟨U+200B⟩"]),
        ({"code": "def f():\n    return {\n\t1: 2}"}, ["code: def f():\n    return {\n\t1: 2}"]),
        ({"list": ["a" + " " * 20 + "b", {"c": None}]}, ['list: ["a ⟨20 blanks⟩ b", {"c": null}]']),
        ('{"number": 1, "number": 2}', ['{"number": 1, "number": 2}']),
        ("[1, 2", ["[1, 2"]),
    ],
    ids=["blanks", "line breaks", "long", "many", "invisible", "code", "nested", "duplicate name", "not JSON"],
)
async def test_the_card_hides_nothing_of_a_call(start: Start, arguments: Json | str, lines: list[str]) -> None:
    chat = await start(agent([]))
    async with await chat.visitor() as tab:
        _, card = await card_of(chat, tab, arguments)
        assert lines_of(card) == lines
        assert list(buttons(card)) == ["Approve", "Reject"]


@pytest.mark.parametrize("arguments", [{"query": "x" * 10_000}, {f"a{n}": n for n in range(101)}], ids=["long", "many"])
async def test_a_call_that_is_too_long_to_show_can_only_be_rejected(start: Start, arguments: Json) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id, card = await card_of(chat, tab, arguments)
        (line,) = lines_of(card)
        assert line.startswith("This call is too long to show (")
        assert list(buttons(card)) == ["Reject"]
        forged = buttons(card)["Reject"]["payload"] | {"decision": "approved"}
        assert (await tab.action(thread_id, "chatkit.approval", forged, card["id"])).types == ["error"]
        chat.upstream.script(Answer("Then I leave it."))
        assert (await press(tab, thread_id, card, "Reject")).text == "Then I leave it."
        assert badge(cards(tab, thread_id)[0]) == "Rejected"
    assert done == []


async def test_with_show_tools_the_call_is_shown_above_its_card(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done), show_tools=True)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[call(1)]), Answer("It is gone."))
        thread_id = (await tab.create("Delete it")).thread_id
        items = tab.pictures[thread_id].items
        assert [item["type"] for item in items] == ["user_message", "workflow", "widget"]
        assert "'loading'" not in str(items)
        assert (await tab.reload(thread_id)).items == items
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).text == "It is gone."
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert "'loading'" not in str(tab.pictures[thread_id].items)


async def test_a_rejected_tool_does_not_run_and_the_model_learns_why(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        chat.upstream.script(Answer("Then I leave it."))
        reply = await press(tab, thread_id, cards(tab, thread_id)[0], "Reject")
        assert (reply.text, done) == ("Then I leave it.", [])
        assert badge(cards(tab, thread_id)[0]) == "Rejected"
        assert "The user rejected this call" in outputs(chat.upstream.requests[1].body["input"])["call_of_order_17"]
        assert (await approvals(chat, thread_id))[0][2:] == ("rejected", "resumed", False)
        rows = await chat.select("SELECT text FROM thread_items WHERE type = 'widget'")
        assert rows == [('delete_order({"number": 17}): Rejected',)]


@both_databases
async def test_a_decision_after_a_restart_resumes_the_run_on_another_worker(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
    other: Done = []
    again = await start(agent(other))
    async with again.tab(cookies=tab.cookies) as page:
        picture = await page.reload(thread_id)
        page.pictures[thread_id] = picture
        chat.upstream.script(Answer("Order 17 is gone."))
        reply = await press(page, thread_id, cards(page, thread_id)[0], "Approve")
        assert (reply.error, reply.text) == (None, "Order 17 is gone.")
        assert (len(done), len(other)) == (0, 1)
        first, second = (request.body["input"] for request in chat.upstream.requests)
        assert first[0] == second[0]  # the user's message


async def test_several_calls_are_decided_one_by_one_and_run_together(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 1, 2, 3)
        first, second, third = cards(tab, thread_id)
        assert ["number: 1" in str(first), "number: 2" in str(second), "number: 3" in str(third)] == [True] * 3
        for card, label in ((second, "Reject"), (third, "Approve")):
            reply = await press(tab, thread_id, card, label)
            assert (reply.error, reply.text, done) == (None, "", [])
        chat.upstream.script(Answer("Two of three."))
        assert (await press(tab, thread_id, first, "Approve")).text == "Two of three."
        assert sorted(entry[:1] for entry in done) == ["1", "3"]
        results = outputs(chat.upstream.requests[1].body["input"])
        assert results["call_of_order_1"] == "order 1 is deleted"
        assert "rejected" in results["call_of_order_2"]
        assert results["call_of_order_3"] == "order 3 is deleted"
        assert [badge(card) for card in cards(tab, thread_id)] == ["Approved", "Rejected", "Approved"]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


async def test_a_resumed_run_may_ask_again(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 1)
        chat.upstream.script(Answer(tool_calls=[call(2)]), Answer("Both are gone."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).error is None
        assert [entry[:1] for entry in done] == ["1"]
        assert (await press(tab, thread_id, cards(tab, thread_id)[1], "Approve")).text == "Both are gone."
        assert [entry[:1] for entry in done] == ["1", "2"]


async def test_another_tool_of_the_response_without_approval_runs_once(start: Start) -> None:
    done: Done = []
    looks: Done = []

    @function_tool
    def look() -> str:
        """Looks."""
        looks.append("looked")
        return "three orders"

    chat = await start(agent(done, look))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("look", {}, "call_of_the_look"), call(1)]), Answer("Done."))
        thread_id = (await tab.create("Look and delete")).thread_id
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).text == "Done."
        assert (len(looks), len(done)) == (1, 1)
        assert outputs(chat.upstream.requests[1].body["input"]) == {
            "call_of_the_look": "three orders",
            "call_of_order_1": "order 1 is deleted",
        }


async def test_an_approval_after_a_handoff_resumes_with_that_agent(start: Start) -> None:
    done: Done = []
    clerk = agent(done)
    clerk.instructions = "You are the clerk."
    desk: Agent[Any] = Agent(name="Desk", instructions="You are the desk.", handoffs=[clerk])
    chat = await start(desk)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("transfer_to_clerk")]), Answer(tool_calls=[call(1)]))
        thread_id = (await tab.create("Delete it")).thread_id
        again = await start(desk)
        async with again.tab(cookies=tab.cookies) as page:
            page.pictures[thread_id] = await page.reload(thread_id)
            chat.upstream.script(Answer("It is gone."))
            assert (await press(page, thread_id, cards(page, thread_id)[0], "Approve")).text == "It is gone."
            assert chat.upstream.requests[2].body["instructions"] == "You are the clerk."
            assert len(done) == 1
            calls = [item["name"] for item in chat.upstream.requests[2].body["input"] if "name" in item]
            assert calls == ["transfer_to_clerk", "delete_order"]
            # The next turn begins with the clerk, who cannot hand over to the desk; so does its paused run.
            chat.upstream.script(Answer(tool_calls=[call(2)]), Answer("It is gone, too."))
            assert (await page.send(thread_id, "And the next")).error is None
            assert (await press(page, thread_id, cards(page, thread_id)[-1], "Approve")).text == "It is gone, too."
            rows = await chat.select("SELECT agent, status FROM paused_runs ORDER BY created_at")
            assert rows == [("Desk", "resumed"), ("Clerk", "resumed")]


async def test_a_client_tool_output_from_before_the_decision_is_in_the_resumed_run(start: Start) -> None:
    done: Done = []

    @client_tool
    async def look(at: str) -> None:
        """Looks at the page."""

    chat = await start(agent(done, look))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("look", {"at": "it"}, "call_of_the_page"), call(1)]))
        thread_id = (await tab.create("Look and delete")).thread_id
        reply = await tab.tool_output(thread_id, "a red one")
        assert (reply.error, len(chat.upstream.requests)) == (None, 1)
        chat.upstream.script(Answer("The red one is gone."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).text == "The red one is gone."
        assert outputs(chat.upstream.requests[1].body["input"]) == {
            "call_of_the_page": '"a red one"',
            "call_of_order_1": "order 1 is deleted",
        }


async def test_a_resumed_run_has_the_tools_of_mcp_servers_again(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done), mcp_servers={"shop": STDIO})
    async with asyncio.timeout(120):
        while any((mcp := chat.services.server.mcp).problems().values()):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)
    mcp.timeouts.list_tools = 20.0
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 1)
        chat.upstream.script(Answer("Done."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).text == "Done."
        first, second = ({tool["name"] for tool in request.body["tools"]} for request in chat.upstream.requests)
        assert len(first) > 1
        assert first == second


async def test_an_agent_after_a_handoff_has_the_same_tools_when_resumed(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the configured agent has the tools of MCP servers."""
    clerk = agent([])
    chat = await start(Agent[Any](name="Desk", handoffs=[clerk]), mcp_servers={"shop": STDIO})
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("transfer_to_clerk")]), Answer("Hello."))
        thread_id = (await tab.create("Hi")).thread_id
        chat.upstream.script(Answer(tool_calls=[call(2)]), Answer("Gone."))
        await tab.send(thread_id, "Delete 2")
        assert (await press(tab, thread_id, cards(tab, thread_id)[-1], "Approve")).text == "Gone."
    tools = [{tool["name"] for tool in request.body["tools"]} for request in chat.upstream.requests]
    assert tools[-1] == tools[-2] == {"delete_order"}
    assert "already" not in caplog.text


MCP = HostedMCPTool(
    tool_config={
        "type": "mcp",
        "server_label": "shop",
        "server_url": "https://mcp.example/mcp",
        "require_approval": "always",
    }
)


@pytest.mark.parametrize(("label", "approve"), [("Approve", True), ("Reject", False)])
async def test_a_hosted_mcp_servers_request_is_answered_with_the_decision(
    start: Start, label: str, approve: bool
) -> None:
    chat = await start(Agent(name="Shopper", tools=[MCP]))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(output=[McpApproval("shop", "buy", {"item": "tea"}, "mcpr_42")]), Answer("Done."))
        thread_id = (await tab.create("Buy tea")).thread_id
        (card,) = cards(tab, thread_id)
        assert "shop: buy" in str(card)
        assert "item: tea" in str(card)
        again = await start(Agent(name="Shopper", tools=[MCP]))
        async with again.tab(cookies=tab.cookies) as page:
            page.pictures[thread_id] = await page.reload(thread_id)
            assert (await press(page, thread_id, card, label)).text == "Done."
        (answer,) = [
            item for item in chat.upstream.requests[1].body["input"] if item.get("type") == "mcp_approval_response"
        ]
        assert (answer["approval_request_id"], answer["approve"]) == ("mcpr_42", approve)


# Outdated approvals


@both_databases
async def test_the_next_message_expires_an_approval(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab, chat.tab(frame=False, cookies=tab.cookies) as script:
        thread_id = await request_deletion(chat, tab, 17)
        (card,) = cards(tab, thread_id)
        chat.upstream.script(Answer("As you like."))
        reply = await tab.send(thread_id, "Leave it")
        assert reply.types[:2] == ["thread.item.done", "thread.item.replaced"]
        assert reply.text == "As you like."
        assert badge(cards(tab, thread_id)[0]).startswith("Not run")
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert (await approvals(chat, thread_id))[0][2:] == (None, "expired", False)
        sent = json.dumps(chat.upstream.requests[1].body["input"])
        assert "did not decide about `delete_order`" in sent
        stale = await press(tab, thread_id, card, "Approve")
        assert stale.types == ["error"]
        assert "the conversation continued without" in stale.events[0]["message"]
        action = buttons(card)["Approve"]
        plain = await script.action(thread_id, action["type"], action["payload"], card["id"])
        assert (plain.status, plain.body["code"]) == (409, "approval_over")
        assert done == []


async def test_a_second_click_is_refused_and_names_the_first_decision(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        (card,) = cards(tab, thread_id)
        chat.upstream.script(Answer("It is gone."))
        await press(tab, thread_id, card, "Approve")
        for label in ("Approve", "Reject"):
            again = await press(tab, thread_id, card, label)
            assert again.types == ["error"]
            assert "has already been approved" in again.events[0]["message"]
        assert len(done) == 1


@both_databases
async def test_simultaneous_decisions_in_two_tabs_run_the_tool_once(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        thread_id = await request_deletion(chat, tab, 17)
        (card,) = cards(tab, thread_id)
        chat.upstream.default = Answer("It is gone.")
        replies = await asyncio.gather(
            press(tab, thread_id, card, "Approve"), press(second, thread_id, card, "Approve")
        )
        assert len(done) == 1
        assert sorted("error" in reply.types for reply in replies) == [False, True]
        assert (await tab.reload(thread_id)).texts()[-1] == ("assistant", "It is gone.")


@pytest.mark.parametrize("changed", ["other agent", "no tool"])
async def test_a_changed_agent_refuses_the_decision_and_runs_nothing(start: Start, changed: str) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        (card,) = cards(tab, thread_id)
        other: Agent[Any] = Agent(name="Somebody" if changed == "other agent" else "Clerk")
        again = await start(other)
        async with again.tab(cookies=tab.cookies) as page:
            page.pictures[thread_id] = await page.reload(thread_id)
            reply = await press(page, thread_id, card, "Approve")
            assert reply.types[-1] == "error"
            assert "the assistant has changed" in reply.events[-1]["message"]
            assert "has changed since" in badge(cards(page, thread_id)[0])
            assert (await page.reload(thread_id)).items == page.pictures[thread_id].items
            assert (await approvals(chat, thread_id))[0][2:] == (None, "expired", False)
            assert (await page.send(thread_id, "Go on")).error is None
        assert done == []


async def test_another_user_and_an_invented_id_get_not_found(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab, await chat.visitor() as stranger:
        thread_id = await request_deletion(chat, tab, 17)
        (card,) = cards(tab, thread_id)
        assert "not found" in (await press(stranger, thread_id, card, "Approve")).events[0]["message"]
        other_thread_id = (await stranger.create("Mine")).thread_id
        action = buttons(card)["Approve"]
        mine = await stranger.action(other_thread_id, action["type"], action["payload"], card["id"])
        assert "not found" in mine.events[0]["message"]
        for payload in ({"approval_id": "apr_0", "decision": "approved"}, {"approval_id": "x"}, None):
            assert (await tab.action(thread_id, action["type"], payload, card["id"])).types == ["error"]
        no_card = await tab.action(thread_id, action["type"], action["payload"])
        assert no_card.types[-1] == "error"
        assert (done, (await approvals(chat, thread_id))[0][2:4]) == ([], (None, "waiting"))


@both_databases
async def test_a_stopped_retry_restores_the_pending_approval(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Let me see.", tool_calls=[call(1)]), Answer("Never said.", hang_after=0))
        first = await tab.create("Delete it")
        (card,) = cards(tab, first.thread_id)
        retrying = {"thread_id": first.thread_id, "item_id": first.user_item["id"]}
        async with tab.open("threads.retry_after_item", retrying) as retry:
            await retry.wait_for("thread.item.added")
            assert await approvals(chat, first.thread_id) == [("delete_order", '{"number": 1}', None, "expired", True)]
            await chat.stop(tab, retry.headers["x-chatkit-turn-id"])
            await retry.read()
        assert cards(tab, first.thread_id) == [card] == (await tab.reload(first.thread_id)).of_type("widget")
        assert await approvals(chat, first.thread_id) == [("delete_order", '{"number": 1}', None, "waiting", True)]

        chat.upstream.script(Answer("x", error_after=0), Answer("It is gone."))
        assert (await tab.retry(first.thread_id, first.user_item["id"])).error is not None
        (card,) = cards(tab, first.thread_id)
        assert (await press(tab, first.thread_id, card, "Approve")).text == "It is gone."
        assert len(done) == 1
        assert badge((await tab.reload(first.thread_id)).of_type("widget")[0]) == "Approved"


async def test_a_retry_expires_the_approval(start: Start) -> None:
    done: Done = []
    chat = await start(agent(done))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[call(1)]), Answer("I leave it."))
        first = await tab.create("Delete it")
        (card,) = cards(tab, first.thread_id)
        assert (await tab.retry(first.thread_id, first.user_item["id"])).text == "I leave it."
        assert (await press(tab, first.thread_id, card, "Approve")).types == ["error"]
        assert (done, (await approvals(chat, first.thread_id))[0][3:]) == ([], ("expired", False))
