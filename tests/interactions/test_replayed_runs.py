"""How a workflow is repeated: runs at once, runs whose events it reads, questions in a loop, stops."""

import asyncio
from typing import Any

import pytest
from agents import Agent, Runner, function_tool

from tests.interactions.approval_export import WorkflowInput
from tests.interactions.test_approvals import badge, buttons, cards, lines_of, press
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import model_input
from tests.turns.coming_back import attaching, read_up_to
from tests.turns.conftest import Start

paid: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    paid.clear()


@function_tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pays."""
    paid.append(amount)
    return f"{amount} paid"


def pays(amount: int) -> Answer:
    return Answer(tool_calls=[ToolCall("pay", {"amount": amount}, f"call_{amount}")])


async def approval_request(message: str) -> bool:
    """Asks the user."""
    # TODO: Implement
    return False


writer: Agent[Any] = Agent(name="Writer")


async def ask_until_approved(workflow_input: WorkflowInput) -> Any:
    drafts = 0
    while True:
        drafts += 1
        draft = await Runner.run(writer, f"Draft {drafts} of {workflow_input.input_as_text}")
        try:
            if await approval_request(f"Send “{draft.final_output}”?"):
                return {"output_text": f"{draft.final_output} is sent after {drafts} drafts."}
        except Exception:
            return {"output_text": "an error"}


async def test_a_loop_asks_until_the_user_approves(start: Start) -> None:
    chat = await start(ask_until_approved)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Dear all"))
        thread_id = (await tab.create("a letter")).thread_id
        for number, draft in enumerate(["Dear Sir", "Dear you"]):
            chat.upstream.script(Answer(draft))
            assert (await press(tab, thread_id, cards(tab, thread_id)[number], "Reject")).error is None
        reply = await press(tab, thread_id, cards(tab, thread_id)[2], "Approve")
        assert (reply.error, reply.text) == (None, "Dear you is sent after 3 drafts.")
        assert [lines_of(card) for card in cards(tab, thread_id)] == [
            ["Send “Dear all”?"],
            ["Send “Dear Sir”?"],
            ["Send “Dear you”?"],
        ]
        picture = await tab.reload(thread_id)
        assert picture.items == tab.pictures[thread_id].items
    questions = [model_input(request)[-1][1] for request in chat.upstream.requests]
    assert questions == ["Draft 1 of a letter", "Draft 2 of a letter", "Draft 3 of a letter"]


async def test_two_runs_at_once_each_ask_and_continue(start: Start) -> None:
    north, south = (Agent[Any](name=name, tools=[pay]) for name in ("North", "South"))

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        results = await asyncio.gather(Runner.run(north, "1"), Runner.run(south, "2"))
        return {"output_text": " and ".join(result.final_output for result in results)}

    chat = await start(run_workflow)
    async with await chat.visitor() as tab:
        chat.upstream.script(pays(1))
        thread_id = (await tab.create("Pay")).thread_id
        chat.upstream.script(Answer("One paid"), pays(2))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).error is None
        assert paid == [1]
        chat.upstream.script(Answer("Two paid"))
        reply = await press(tab, thread_id, cards(tab, thread_id)[1], "Approve")
        assert (reply.error, paid) == (None, [1, 2])
        texts = [words for role, words in (await tab.reload(thread_id)).texts() if role == "assistant"]
        assert texts == ["One paid", "Two paid", "One paid and Two paid"]


async def test_runs_whose_events_a_workflow_reads_are_recorded_and_resumed(start: Start) -> None:
    clerk = Agent[Any](name="Clerk", tools=[pay])
    kinds: list[str] = []

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        draft = Runner.run_streamed(writer, workflow_input.input_as_text)
        async for _ in draft.stream_events():
            pass
        result = Runner.run_streamed(clerk, f"Pay for {draft.final_output}")
        kinds.extend([event.type async for event in result.stream_events()])
        return {"output_text": f"{draft.final_output}: {result.final_output}"}

    chat = await start(run_workflow)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("A draft"), pays(3))
        thread_id = (await tab.create("Write")).thread_id
        kinds.clear()
        chat.upstream.script(Answer("Three paid"))
        reply = await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        assert (reply.error, paid) == (None, [3])
        assert "raw_response_event" in kinds
        texts = [words for role, words in (await tab.reload(thread_id)).texts() if role == "assistant"]
        assert texts == ["A draft", "Three paid", "A draft: Three paid"]
    assert len(chat.upstream.requests) == 3


async def test_a_resumed_workflow_can_be_read_again_and_stopped(start: Start) -> None:
    clerk = Agent[Any](name="Clerk", tools=[pay])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        draft = await Runner.run(writer, workflow_input.input_as_text)
        return {"output_text": (await Runner.run(clerk, f"Pay for {draft.final_output}")).final_output}

    chat = await start(run_workflow)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        chat.upstream.script(Answer("A draft"), pays(4))
        thread_id = (await tab.create("Write")).thread_id
        (card,) = cards(tab, thread_id)
        chat.upstream.script(Answer("one two three four", hang_after=2))
        action = buttons(card)["Approve"]
        params = {"thread_id": thread_id, "item_id": card["id"], "action": action}
        async with tab.open("threads.custom_action", params) as reply:
            await read_up_to(reply, "one two")
            async with attaching(second, thread_id) as again:
                await again.wait_for("thread.item.added")
                assert again.picture.texts()[-1] == ("assistant", "one two")
                await chat.stop(tab, reply.headers["x-chatkit-turn-id"])
                await reply.read()
                await again.read()
        picture = await tab.reload(thread_id)
        assert picture.texts() == [("user", "Write"), ("assistant", "A draft"), ("assistant", "one two")]
        assert badge(cards(tab, thread_id)[0]) == "Approved"
        assert paid == [4]
        assert await chat.turns(thread_id) == [("completed", None), ("stopped", "user")]
        chat.upstream.script(Answer("Another draft"), Answer("Nothing to pay."))
        assert (await tab.send(thread_id, "Again")).text.startswith("Another draft")
    assert [item.get("call_id") for item in chat.upstream.requests[3].body["input"] if "output" in item] == ["call_4"]
