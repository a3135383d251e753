"""Tool calls, searches and handoffs are shown: live, in the database, and after a reload."""

import asyncio
import json
from typing import Any

import pytest
from agents import Agent, HandoffInputData, RunContextWrapper, function_tool, handoff
from agents.extensions.handoff_filters import remove_all_tools
from chatkit.types import CustomTask, ProgressUpdateEvent, Workflow

from chatkit_server import AgentContext, ChatServer, ToolDisplay, shown_as
from tests.support.chatkit import Json, Picture
from tests.support.openai_answers import (
    SERVER_ERROR,
    Answer,
    AnyCitation,
    Citation,
    ContainerCitation,
    FileCitation,
    FileSearch,
    Reasoning,
    Text,
    ToolCall,
    WebSearch,
)
from tests.turns.chat import Chat, model_input
from tests.turns.conftest import Start

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])

Context = RunContextWrapper[AgentContext]


@shown_as("Looking up order {number}", icon="search")
@function_tool
def order_status(number: str) -> str:
    """The state of an order."""
    return f"order {number} is shipped"


@function_tool
def next_holiday() -> str:
    """The next holiday."""
    return "tomorrow"


@shown_as(None)
@function_tool
def secret() -> str:
    """A hidden tool."""
    return "sh"


def tasks_of(picture: Picture) -> list[list[tuple[Any, ...]]]:
    """Return (type, title, indicator) of each task, per visible workflow."""
    return [
        [(task["type"], task.get("title") or task.get("content"), task["status_indicator"]) for task in tasks]
        for tasks in [item["workflow"]["tasks"] for item in picture.of_type("workflow")]
    ]


async def saved_workflows(chat: Chat, thread_id: str) -> list[Json]:
    """Return the saved workflows of a thread."""
    query = "SELECT payload FROM thread_items WHERE thread_id = :id AND type = 'workflow' ORDER BY position"
    rows = await chat.select(query, id=thread_id)
    return [json.loads(text) if isinstance(text, str) else text for (text,) in rows]


@both_apis
async def test_calls_are_shown_with_the_authors_titles(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[order_status, next_holiday, secret]), show_tools=True)
    calls = [ToolCall("order_status", {"number": "17"}), ToolCall("next_holiday"), ToolCall("secret")]
    chat.upstream.script(Answer(tool_calls=calls), Answer("It is shipped."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Where is it?")
        lines = [("custom", "Looking up order 17", "complete"), ("custom", "Next holiday", "complete")]
        assert tasks_of(reply.picture) == [lines]
        assert [item["type"] for item in reply.picture.items] == ["user_message", "workflow", "assistant_message"]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        (workflow,) = await saved_workflows(chat, reply.thread_id)
        assert workflow["workflow"]["tasks"][0]["icon"] == "search"
        assert workflow["workflow"]["summary"]["title"] == "Used 2 tools"
        added = [event["item"] for event in reply.of_type("thread.item.added") if event["item"]["type"] == "workflow"]
        assert [task["status_indicator"] for task in added[0]["workflow"]["tasks"]] == ["loading"]
        await tab.send(reply.thread_id, "And?")
    messages = [text for _, text in model_input(chat.upstream.requests[-1]) if text]
    assert messages == ["Where is it?", "It is shipped.", "And?"]  # the calls are replayed, but not their lines


async def test_a_setting_hides_tool_calls(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[order_status]), show_tools=False)
    chat.upstream.script(Answer(tool_calls=[ToolCall("order_status", {"number": "17"})]), Answer("Shipped."))
    async with await chat.visitor() as tab:
        assert (await tab.create("Where is it?")).picture.of_type("workflow") == []


async def test_tool_displays_of_the_server_apply_to_undecorated_tools(start: Start) -> None:
    class Shop(ChatServer):
        tool_displays = {"next_holiday": ToolDisplay("Looking at the calendar", "calendar")}

    chat = await start(Agent(name="test", tools=[next_holiday]), Shop, show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("next_holiday")]), Answer("Tomorrow."))
    async with await chat.visitor() as tab:
        picture = (await tab.create("When?")).picture
        assert tasks_of(picture) == [[("custom", "Looking at the calendar", "complete")]]


async def test_thoughts_and_calls_share_a_workflow(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[next_holiday]), show_tools=True)
    chat.upstream.script(
        Answer(reasoning=Reasoning(["First."]), tool_calls=[ToolCall("next_holiday")]),
        Answer("Tomorrow.", reasoning=Reasoning(text="Second.")),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("When?")
        first, call, second = (
            ("thought", "First.", "none"),
            ("custom", "Next holiday", "complete"),
            ("thought", "Second.", "none"),
        )
        assert tasks_of(reply.picture) == [[first, call, second]]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items


async def test_a_tool_that_adds_tasks_gets_a_workflow_of_its_own(start: Start) -> None:
    @function_tool
    async def book(context: Context) -> str:
        """Books."""
        await context.context.add_workflow_task(CustomTask(title="Look", status_indicator="loading"))
        await context.context.add_workflow_task(CustomTask(title="Pay"))
        await context.context.update_workflow_task(CustomTask(title="Looked", status_indicator="complete"), 0)
        return "booked"

    chat = await start(Agent(name="test", tools=[book]), show_tools=True)
    chat.upstream.script(Answer(reasoning=Reasoning(["Hm."]), tool_calls=[ToolCall("book")]), Answer("Booked."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Book it")
        tool_tasks = [("custom", "Looked", "complete"), ("custom", "Pay", "none")]
        assert tasks_of(reply.picture) == [[("thought", "Hm.", "none"), ("custom", "Book", "none")], tool_tasks]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items


async def test_a_tool_that_starts_a_workflow_closes_the_one_before(start: Start) -> None:
    @function_tool
    async def book(context: Context) -> str:
        """Books."""
        await context.context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="Look")]))
        await context.context.end_workflow()
        return "booked"

    chat = await start(Agent(name="test", tools=[book]), show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("book")]), Answer("Booked."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Book it")
        assert tasks_of(reply.picture) == [[("custom", "Book", "none")], [("custom", "Look", "none")]]
        assert all(workflow["workflow"]["summary"] for workflow in await saved_workflows(chat, reply.thread_id))


@both_apis
async def test_a_handoff_is_shown(start: Start) -> None:
    billing = Agent[Any](name="Billing", tools=[next_holiday])
    chat = await start(Agent(name="Triage", handoffs=[billing]), show_tools=True)
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("transfer_to_billing")]),
        Answer(tool_calls=[ToolCall("next_holiday")]),
        Answer("Tomorrow."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("When?")
        lines = [("custom", "Billing takes over", "complete"), ("custom", "Next holiday", "complete")]
        assert tasks_of(reply.picture) == [lines]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items


def drop_new_items(data: HandoffInputData) -> HandoffInputData:
    return data.clone(pre_handoff_items=(), new_items=())


@pytest.mark.parametrize("input_filter", [remove_all_tools, drop_new_items])
async def test_a_handoff_whose_filter_removes_its_events_is_shown_and_complete_for_the_model(
    start: Start, input_filter: Any
) -> None:
    billing = Agent[Any](name="Billing")
    triage = Agent(name="Triage", tools=[next_holiday], handoffs=[handoff(billing, input_filter=input_filter)])
    chat = await start(triage, show_tools=True)
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("next_holiday"), ToolCall("transfer_to_billing")]),
        Answer("Tomorrow."),
        Answer("Yes."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("When?")
        assert reply.text == "Tomorrow."
        ((*calls, last),) = tasks_of(reply.picture)
        assert last == ("custom", "Billing takes over", "complete")
        assert all(indicator == "complete" for _, _, indicator in calls)
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        assert (await tab.send(reply.thread_id, "Sure?")).text == "Yes."
    outputs = [item["output"] for item in chat.upstream.requests[-1].body["input"] if "output" in item]
    assert json.dumps({"assistant": "Billing"}) in outputs
    assert not any("interrupted" in output for output in outputs)


async def test_the_words_of_a_finished_call_stay_visible(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[order_status, next_holiday]), show_tools=True)
    one = [ToolCall("order_status", {"number": "17"})]
    twice = [ToolCall("next_holiday"), ToolCall("next_holiday")]
    chat.upstream.script(
        Answer(reasoning=Reasoning(["Hm."]), tool_calls=one),
        Answer("Shipped."),
        Answer(tool_calls=twice),
        Answer("Tomorrow."),
        Answer(tool_calls=[*one, ToolCall("missing")]),
        Answer("Sorry."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("One")
        await tab.send(reply.thread_id, "Twice")
        await tab.send(reply.thread_id, "Missing")
        titles = [item["workflow"]["summary"]["title"] for item in await saved_workflows(chat, reply.thread_id)]
    assert titles == ["Looking up order 17", "Next holiday (2×)", "Used 2 tools, 1 failed"]


async def test_what_waits_for_an_approval_is_visible_above_its_card(start: Start) -> None:
    @function_tool(needs_approval=True)
    def refund(number: str) -> str:
        """Refunds."""
        return "done"

    chat = await start(Agent(name="test", tools=[shown_as("Refunding {number}")(refund)]), show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("refund", {"number": "17"})]))
    async with await chat.visitor() as tab:
        reply = await tab.create("Refund it")
        (workflow,) = reply.picture.of_type("workflow")
        assert workflow["workflow"]["summary"]["title"] == "Refunding 17"
        assert [item["type"] for item in reply.picture.items][-2:] == ["workflow", "widget"]


@both_apis
async def test_calls_of_tools_that_do_not_exist_are_told_to_the_model(start: Start) -> None:
    disabled = function_tool(lambda: "no", name_override="disabled", description_override="Off.", is_enabled=False)
    chat = await start(Agent(name="test", tools=[next_holiday, disabled]), show_tools=True, max_turns=4)
    names = ["next_holiday", "nextHoliday", "Next_Holiday", "disabled", "transfer_to_nobody"]
    made_up = [ToolCall(name) for name in names]
    chat.upstream.script(Answer(tool_calls=made_up), Answer("I have no such tools."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        assert (reply.error, reply.text) == (None, "I have no such tools.")
        ((first, *failed),) = tasks_of(reply.picture)
        assert first == ("custom", "Next holiday", "complete")
        assert [indicator for _, _, indicator in failed] == ["none"] * 4
        chat.upstream.script(*[Answer(tool_calls=[ToolCall("nextHoliday")]) for _ in range(4)])
        error = (await tab.send(reply.thread_id, "Again")).error
        assert error is not None
        assert "too many steps" in error["message"]


async def test_searches_are_shown_with_their_sources(start: Start) -> None:
    chat = await start(Agent(name="test"), show_tools=True)
    chat.upstream.script(
        Answer(
            output=[
                Reasoning(["Look."]),
                WebSearch("chatkit", ["https://a.example/1", "https://b.example/2"]),
                FileSearch(["invoice"], ["a.pdf", "b.pdf", "a.pdf"]),
                FileSearch(["nothing"]),
                Text("Found."),
            ]
        )
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Search")
        (workflow,) = reply.picture.of_type("workflow")
        assert workflow["workflow"]["tasks"] == [
            {"type": "thought", "content": "Look.", "status_indicator": "none"},
            {
                "type": "web_search",
                "title": "Searching the web",
                "title_query": "chatkit",
                "queries": ["chatkit"],
                "sources": [
                    {"type": "url", "title": "a.example", "url": "https://a.example/1"},
                    {"type": "url", "title": "b.example", "url": "https://b.example/2"},
                ],
                "status_indicator": "complete",
            },
            {
                "type": "file",
                "title": "Searching the files for “invoice”",
                "sources": [
                    {"type": "file", "title": "a.pdf", "filename": "a.pdf"},
                    {"type": "file", "title": "b.pdf", "filename": "b.pdf"},
                ],
                "status_indicator": "complete",
            },
            {
                "type": "file",
                "title": "Searching the files for “nothing”",
                "sources": [],
                "status_indicator": "complete",
            },
        ]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        assert (await tab.send(reply.thread_id, "And?")).error is None
    types = [item.get("type") for item in chat.upstream.requests[-1].body["input"]]
    assert types[1:5] == ["reasoning", "web_search_call", "file_search_call", "file_search_call"]


async def test_all_types_of_citations_are_kept_to_the_end_and_after_a_reload(start: Start) -> None:
    chat = await start(Agent(name="test"))
    citations: list[AnyCitation] = [
        Citation("https://a.example", "A", 0, 3),
        FileCitation("a.pdf", index=5),
        ContainerCitation("b.csv", end=7),
    ]
    chat.upstream.script(Answer(Text("See these.", citations)))
    async with await chat.visitor() as tab:
        reply = await tab.create("Cite")
        (message,) = reply.picture.of_type("assistant_message")
        sources = [annotation["source"] for annotation in message["content"][0]["annotations"]]
        assert [(source["type"], source["title"]) for source in sources] == [
            ("url", "A"),
            ("file", "a.pdf"),
            ("file", "b.csv"),
        ]
        updates = [event["update"] for event in reply.of_type("thread.item.updated")]
        (last,) = [update for update in updates if update["type"].endswith("content_part.done")]
        assert last["content"]["annotations"] == message["content"][0]["annotations"]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items


async def test_progress_of_a_tool_is_sent(start: Start) -> None:
    @function_tool
    async def dig(context: Context) -> str:
        """Digs."""
        await context.context.stream(ProgressUpdateEvent(text="Half way", icon="clock"))
        return "found"

    chat = await start(Agent(name="test", tools=[dig]), show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("dig")]), Answer("Found."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Dig")
        assert reply.of_type("progress_update") == [{"type": "progress_update", "icon": "clock", "text": "Half way"}]
        assert len(await chat.items(reply.thread_id)) == 3


async def test_stopping_during_a_tool_leaves_no_task_loading(start: Start) -> None:
    running = asyncio.Event()

    @function_tool
    async def wait() -> str:
        """Waits."""
        running.set()
        await asyncio.sleep(60)
        return "done"

    chat = await start(Agent(name="test", tools=[wait]), show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("wait")]))
    async with await chat.visitor() as tab:
        async with await chat.ask(tab, "Wait") as stream:
            await stream.read_until(lambda frame: "loading" in frame.data)
            async with asyncio.timeout(30):
                await running.wait()
            await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
            (thread,) = [event["thread"]["id"] for event in stream.events if event["type"] == "thread.created"]
        assert tasks_of(await tab.reload(thread)) == [[("custom", "Wait", "none")]]


async def test_tool_calls_alone_are_not_a_new_answer(start: Start) -> None:
    """Like thoughts alone: a retry that fails after them restores the previous answer and removes them."""
    chat = await start(Agent(name="test", tools=[next_holiday]), show_tools=True)
    chat.upstream.script(Answer("Old."), Answer(tool_calls=[ToolCall("next_holiday")]), Answer(fail=SERVER_ERROR))
    async with await chat.visitor() as tab:
        reply = await tab.create("When?")
        assert (await tab.retry(reply.thread_id, reply.user_item["id"])).error is not None
        assert (await tab.reload(reply.thread_id)).texts() == [("user", "When?"), ("assistant", "Old.")]
        assert tasks_of(await tab.reload(reply.thread_id)) == tasks_of(tab.pictures[reply.thread_id]) == []


@both_apis
async def test_a_failed_tool_is_shown_as_failed_and_its_traceback_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    @function_tool(timeout=60)
    async def divide(number: int) -> str:
        """Divides."""
        return str(1 / number)

    @function_tool
    async def wait() -> str:
        """Waits."""
        await asyncio.sleep(60)
        return "late"

    chat = await start(Agent(name="test", tools=[divide, wait]), show_tools=True, tool_call_seconds=1)
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("divide", {"number": 0}), ToolCall("wait"), ToolCall("divide", {"number": 1})]),
        Answer("I could not."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Divide")
        assert (reply.error, reply.text) == (None, "I could not.")
        (workflow,) = reply.picture.of_type("workflow")
        tasks = [(task["status_indicator"], task.get("content")) for task in workflow["workflow"]["tasks"]]
        assert tasks == [("none", "This failed."), ("none", "This failed."), ("complete", None)]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
    assert "the tool divide failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "return str(1 / number)" in caplog.text
    assert "'wait' timed out after 1 seconds" in caplog.text


async def test_a_failure_of_an_agent_that_is_a_tool_is_shown_and_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    nested = Agent[Any](name="Librarian", instructions="nested")
    chat = await start(Agent(name="test", tools=[nested.as_tool("ask_librarian", "Asks.")]), show_tools=True)
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("ask_librarian", {"input": "Which?"})]), Answer(fail=SERVER_ERROR), Answer("Sorry.")
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Ask")
        assert (reply.error, reply.text) == (None, "Sorry.")
        (workflow,) = reply.picture.of_type("workflow")
        (task,) = workflow["workflow"]["tasks"]
        assert task["content"] == "This failed."
        assert workflow["workflow"]["summary"]["title"] == "Ask librarian (failed)"
    assert "the tool ask_librarian (agent Librarian) failed" in caplog.text
    assert "InternalServerError" in caplog.text
