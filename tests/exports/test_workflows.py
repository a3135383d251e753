"""Seven exports of Agent Builder run unchanged: a message, a reload, a second message, and what the models received."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from chatkit_server.agents.loading import load_agent
from tests.exports.inputs import inputs, models
from tests.interactions.test_approvals import buttons, cards, lines_of, press
from tests.serving import Tab
from tests.support.chatkit import Picture
from tests.support.openai_answers import Answer, FileCitation, FileSearch, McpCall, Reasoning, Text, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.turns.conftest import Start

HERE = "tests.exports.workflows"


async def reloaded(tab: Tab, thread_id: str) -> Picture:
    """Return the thread as a fresh tab loads it, which is what the streaming tab shows."""
    picture = await tab.reload(thread_id)
    assert picture.items == tab.pictures[thread_id].items
    return picture


def steps(picture: Picture) -> list[list[tuple[str, str]]]:
    """Return title and state of the tasks of each block."""
    return [
        [(task["title"], task["status_indicator"]) for task in block["workflow"]["tasks"]]
        for block in picture.of_type("workflow")
    ]


async def test_one_agent(start: Start) -> None:
    chat = await start(f"{HERE}.one_agent:run_workflow", show_tools=True)
    async with await chat.visitor() as tab:
        chat.upstream.script(
            Answer(
                reasoning=Reasoning(["Which day?"]), tool_calls=[ToolCall("get_opening_hours", {"day": "Monday"}, "c1")]
            ),
            Answer("We open at 9."),
        )
        first = await tab.create("When do you open on Monday?")
        assert first.text == "We open at 9."
        picture = await reloaded(tab, first.thread_id)
        assert [item["type"] for item in picture.items] == ["user_message", "workflow", "assistant_message"]
        chat.upstream.script(Answer("At 17."))
        assert (await tab.send(first.thread_id, "And close?")).text == "At 17."
    conversation = [
        ("user", "When do you open on Monday?"),
        ("reasoning", ""),
        ("function_call", "get_opening_hours"),
        ("function_call_output", "Monday: 9 to 17"),
        ("assistant", "We open at 9."),
        ("user", "And close?"),
    ]
    assert inputs(chat.upstream) == [conversation[:1], conversation[:4], conversation]
    assert models(chat.upstream) == ["gpt-5"] * 3
    assert chat.upstream.requests[0].body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert chat.upstream.requests[0].body["store"] is True


async def test_a_classifier_with_branches(start: Start) -> None:
    chat = await start(f"{HERE}.branches:run_workflow")
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer('{"category": "cancel"}'), Answer("It is cancelled."))
        first = await tab.create("Cancel my plan")
        assert first.text == "It is cancelled.", "the end node passes it on"
        picture = await reloaded(tab, first.thread_id)
        assert steps(picture) == [[("Classify", "complete")]]
        chat.upstream.script(Answer('{"category": "return"}'), Answer('{"decision": "accepted", "refund": 12.5}'))
        second = await tab.send(first.thread_id, "I return the lamp")
        assert second.text == "- **Decision:** accepted\n- **Refund:** 12.5"
        picture = await reloaded(tab, first.thread_id)
        assert steps(picture)[1] == [("Classify", "complete"), ("Return agent", "complete")]
        chat.upstream.script(Answer('{"category": "other"}'), Answer("We sell lamps."))
        third = await tab.send(first.thread_id, "What do you sell?")
        assert third.text == "We sell lamps.", "the author returns the category"
    cancelled = [("user", "Cancel my plan"), ("assistant", "It is cancelled.")]
    returned = [*cancelled, ("user", "I return the lamp")]
    requests = inputs(chat.upstream)
    assert requests[:4] == [cancelled[:1], cancelled[:1], returned, returned]
    assert requests[5] == [*returned, ("assistant", second.text), ("user", "What do you sell?")]
    instructions = chat.upstream.requests[1].body["instructions"]
    assert instructions == "Cancel the plan free. The message: Cancel my plan"
    assert models(chat.upstream)[:2] == ["gpt-4.1", "gpt-4.1-mini"]


async def test_a_while_loop_that_returns_nothing(start: Start) -> None:
    chat = await start(f"{HERE}.while_loop:run_workflow")
    async with await chat.visitor() as tab:
        chat.upstream.script(
            Answer("Rain on the roof"),
            Answer('{"is_good": false, "advice": "longer"}'),
            Answer("Rain on the old roof"),
            Answer('{"is_good": true, "advice": "none"}'),
        )
        first = await tab.create("Write about rain")
        assert first.error is None
        picture = await reloaded(tab, first.thread_id)
        said = ["Rain on the roof", "Rain on the old roof"]
        assert picture.texts()[:3] == [("user", "Write about rain"), *(("assistant", text) for text in said)]
        assert steps(picture) == [[("Reviewer", "complete")]] * 2
        assert picture.texts()[3:] == [("assistant", "- **Is good:** yes\n- **Advice:** none")], "the last output"
        chat.upstream.script(Answer("Snow"), Answer('{"is_good": true, "advice": "none"}'))
        assert (await tab.send(first.thread_id, "Now snow")).error is None
    last_writer = inputs(chat.upstream)[2]
    assert last_writer == [
        ("user", "Write about rain"),
        ("assistant", "Rain on the roof"),
        ("assistant", '{"is_good": false, "advice": "longer"}'),
    ]
    assert inputs(chat.upstream)[4][0] == ("user", "Write about rain")
    assert inputs(chat.upstream)[4][-1] == ("user", "Now snow")


@pytest.mark.parametrize(("label", "end"), [("Approve", "It is sent."), ("Reject", "The e-mail is not sent.")])
async def test_the_users_approval(start: Start, label: str, end: str) -> None:
    chat = await start(f"{HERE}.approval:run_workflow")
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Dear Ann, …"))
        first = await tab.create("Write to Ann")
        assert first.text == "Dear Ann, …"
        (card,) = cards(tab, first.thread_id)
        assert lines_of(card) == ["Send this e-mail?"]
        assert list(buttons(card)) == ["Approve", "Reject"]
        chat.upstream.script(Answer("It is sent.") if label == "Approve" else Answer("Hello."))
        assert (await press(tab, first.thread_id, card, label)).text == end
        picture = await reloaded(tab, first.thread_id)
        assert picture.texts() == [("user", "Write to Ann"), ("assistant", "Dear Ann, …"), ("assistant", end)]
        chat.upstream.script(Answer("Dear Bob, …"))
        await tab.send(first.thread_id, "Now to Bob")
    later = inputs(chat.upstream)[-1]
    assert [line for line in later if line[0] == "assistant"] == [("assistant", "Dear Ann, …"), ("assistant", end)]
    assert later[-1] == ("user", "Now to Bob")


@pytest.fixture
async def author_client(upstream: OpenAIServer) -> AsyncIterator[AsyncOpenAI]:
    """The client that the export makes on import, but at the local provider."""
    async with AsyncOpenAI(base_url=upstream.base_url) as client:
        yield client


async def test_guardrails_mask_personal_data_and_end_the_turn(
    start: Start, author_client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await start(f"{HERE}.guarded:run_workflow")
    monkeypatch.setattr(f"{HERE}.guarded.ctx.guardrail_llm", author_client)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("I write to you."))
        first = await tab.create("Write to ann@shop.example please")
        assert first.text == "I write to you."
        picture = await reloaded(tab, first.thread_id)
        assert picture.texts()[0] == ("user", "Write to ann@shop.example please"), "the user reads their own words"
        stopped = await tab.send(first.thread_id, "I will hurt bob@shop.example")
        text = "This message did not pass a check of this assistant, so it was not answered: moderation."
        assert stopped.text == text
        chat.upstream.script(Answer("Good."))
        assert (await tab.send(first.thread_id, "I am calm again")).text == "Good."
        await reloaded(tab, first.thread_id)
    masked = [("user", "Write to <EMAIL_ADDRESS> please"), ("assistant", "I write to you.")]
    blocked = [("user", "[A check stopped this message: the assistant did not get it.]"), ("assistant", text)]
    assert inputs(chat.upstream) == [masked[:1], [*masked, *blocked, ("user", "I am calm again")]]


async def test_file_search_and_a_hosted_mcp_server(
    start: Start, author_client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await start(f"{HERE}.sources:run_workflow", show_tools=True)
    monkeypatch.setattr(f"{HERE}.sources.client", author_client)
    chat.upstream.checks.found = [{"file_id": "file_1", "filename": "catalogue.pdf", "score": 0.9}]
    async with await chat.visitor() as tab:
        cited = Text("It is on shelf 3.", citations=[FileCitation("rules.pdf", index=16)])
        call = McpCall("stock", "find_book", {"title": "Emma"}, "shelf 3")
        chat.upstream.script(Answer(output=[call, FileSearch(["shelf 3"], ["rules.pdf"]), cited]))
        first = await tab.create("Where is Emma?")
        assert first.text == "It is on shelf 3."
        picture = await reloaded(tab, first.thread_id)
        ((mcp_task, *_),) = steps(picture)
        assert mcp_task == ("Find book", "complete")
        (message,) = picture.of_type("assistant_message")
        assert message["content"][0]["annotations"][0]["source"]["filename"] == "rules.pdf"
        chat.upstream.script(Answer("On shelf 4."))
        assert (await tab.send(first.thread_id, "And Persuasion?")).text == "On shelf 4."
    assert chat.upstream.checks.searches == [("vs_books", "Where is Emma?"), ("vs_books", "And Persuasion?")]
    first_input, second_input = inputs(chat.upstream)
    assert first_input == [("user", "Where is Emma?"), ("user", "Found: catalogue.pdf")]
    assert [kind for kind, _ in second_input] == ["user", "mcp_call", "file_search_call", "assistant", "user", "user"]
    tools = {tool["type"]: tool for tool in chat.upstream.requests[0].body["tools"]}
    assert tools["mcp"]["headers"] == {"Authorization": "Bearer of-the-shop"}
    assert tools["file_search"]["vector_store_ids"] == ["vs_rules"]


async def test_two_agents_in_a_row(start: Start) -> None:
    chat = await start(f"{HERE}.pair:run_workflow")
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Facts.", reasoning=Reasoning(["Hm."])), Answer("A paragraph."))
        first = await tab.create("Tell me about tea")
        assert first.text == "Facts.A paragraph."
        assert (await reloaded(tab, first.thread_id)).texts()[1:] == [
            ("assistant", "Facts."),
            ("assistant", "A paragraph."),
        ]
        chat.upstream.script(Answer("More facts."), Answer("Another paragraph."))
        await tab.send(first.thread_id, "And coffee?")
        await reloaded(tab, first.thread_id)
    _, editor, researcher, _ = inputs(chat.upstream)
    tea = [("user", "Tell me about tea"), ("reasoning", ""), ("assistant", "Facts.")]
    assert editor == [*tea, ("user", "Edit this: Facts.")]
    assert researcher == [*tea, ("assistant", "A paragraph."), ("user", "And coffee?")]


def test_each_of_them_is_recognised() -> None:
    names = ["one_agent", "branches", "while_loop", "approval", "guarded", "sources", "pair"]
    workflows = [load_agent(f"{HERE}.{name}:run_workflow").workflow for name in names]
    assert [len(workflow.agents) for workflow in workflows if workflow is not None] == [1, 4, 2, 2, 1, 1, 2]
