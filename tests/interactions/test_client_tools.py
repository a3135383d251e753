"""Tools that run in the page: the run ends with the call, and the page's answer resumes it (T30)."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from agents import Agent, FunctionTool, function_tool
from pydantic import BaseModel
from sqlalchemy import text, update

from chatkit_server import client_tool
from chatkit_store.tables import thread_items
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat, model_input
from tests.turns.coming_back import attaching, events, read_up_to
from tests.turns.conftest import Start


class Place(BaseModel):
    """A place on the page."""

    section: str


@client_tool
async def get_selection(place: Place, as_markdown: bool = False) -> str:
    """What the user has selected in the page."""
    raise AssertionError("it runs in the page")


@client_tool(name="scroll_to", description="Scrolls the page.")
def scroll(section: str) -> None:
    """Never shown."""


@function_tool
def count(words: str) -> int:
    """Counts."""
    return len(words)


AGENT: Agent[Any] = Agent(name="Reader", tools=[get_selection, scroll, count])
SELECT = ToolCall("get_selection", {"place": {"section": "top"}, "as_markdown": True}, "call_of_the_model")


def calls_and_outputs(model_input: Any) -> list[Any]:
    """Return the calls and outputs in the model's input."""
    return [
        (item["type"], item["call_id"], item.get("output"))
        for item in model_input
        if item.get("type") in ("function_call", "function_call_output")
    ]


async def calls(chat: Chat, thread_id: str) -> list[tuple[str, str, Any]]:
    """Return the stored client tool calls: name, status, output."""
    query = "SELECT payload FROM thread_items WHERE thread_id = :id AND type = 'client_tool_call' ORDER BY position"
    payloads = [json.loads(payload) for (payload,) in await chat.select(query, id=thread_id)]
    return [(call["name"], call["status"], call["output"]) for call in payloads]


def test_the_function_or_the_options_describe_the_tool() -> None:
    assert isinstance(get_selection, FunctionTool)
    assert (get_selection.name, get_selection.description) == (
        "get_selection",
        "What the user has selected in the page.",
    )
    assert set(get_selection.params_json_schema["properties"]) == {"place", "as_markdown"}
    assert (scroll.name, scroll.description) == ("scroll_to", "Scrolls the page.")


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_the_run_ends_with_the_call_and_the_answer_resumes_it(start: Start, api: str) -> None:
    chat = await start(AGENT)
    chat.upstream.script(Answer(tool_calls=[SELECT]), Answer("You selected a cat."), Answer("Still a cat."))
    async with await chat.visitor() as tab:
        first = await tab.create("What is this?")
        thread_id = first.thread_id
        (call,) = tab.pictures[thread_id].tool_calls
        assert (call["name"], call["arguments"], call["status"], call["call_id"]) == (
            "get_selection",
            {"place": {"section": "top"}, "as_markdown": True},
            "pending",
            "call_of_the_model",
        )
        assert [event["type"] for event in first.events if event.get("item") == call] == ["thread.item.done"]
        assert len(chat.upstream.requests) == 1
        assert await calls(chat, thread_id) == [("get_selection", "pending", None)]
        reply = await tab.tool_output(thread_id, {"text": "cat"})
        assert (reply.text, await calls(chat, thread_id)) == (
            "You selected a cat.",
            [("get_selection", "completed", {"text": "cat"})],
        )
        if api == "responses":
            assert calls_and_outputs(chat.upstream.requests[1].body["input"]) == [
                ("function_call", "call_of_the_model", None),
                ("function_call_output", "call_of_the_model", '{"text": "cat"}'),
            ]
        assert (await tab.send(thread_id, "Sure?")).text == "Still a cat."
        assert str(chat.upstream.requests[2].body).count("was asked to do this") == 0
        assert (await tab.reload(thread_id)).texts() == tab.pictures[thread_id].texts()


@pytest.mark.parametrize("show_tools", [False, True])
async def test_parallel_calls_run_one_by_one_in_the_models_order(start: Start, show_tools: bool) -> None:
    chat = await start(AGENT, show_tools=show_tools)
    second = ToolCall("scroll_to", {"section": "end"}, "call_two_of_the_model")
    chat.upstream.script(Answer(tool_calls=[SELECT, second, ToolCall("count", {"words": "abc"})]), Answer("All done."))
    async with await chat.visitor() as tab:
        first = await tab.create("Do both")
        thread_id = first.thread_id
        assert [call["name"] for call in tab.pictures[thread_id].tool_calls] == ["get_selection"]
        assert [status for _, status, _ in await calls(chat, thread_id)] == ["pending", "pending"]
        async with chat.tab(cookies=tab.cookies) as other, attaching(other, thread_id) as again:
            await again.read()
            assert [call["name"] for call in again.picture.tool_calls] == ["get_selection"]
        restarted = await start(AGENT, show_tools=show_tools)
        async with restarted.tab(cookies=tab.cookies) as page:
            between = await page.tool_output(thread_id, "one")
            assert [call["name"] for call in page.pictures[thread_id].tool_calls] == ["scroll_to"]
            assert (between.error, between.text, len(chat.upstream.requests)) == (None, "", 1)
            assert (await page.tool_output(thread_id, "two")).text == "All done."
            assert (await page.tool_output(thread_id, "three")).types == ["error"]
            assert (await page.reload(thread_id)).texts() == [("user", "Do both"), ("assistant", "All done.")]
        outputs = [
            entry for entry in calls_and_outputs(chat.upstream.requests[1].body["input"]) if entry[2] is not None
        ]
        assert {(call_id, output) for _, call_id, output in outputs} >= {
            ("call_of_the_model", '"one"'),
            ("call_two_of_the_model", '"two"'),
        }
        assert [output for _, _, output in await calls(chat, thread_id)] == ["one", "two"]
        assert [turn for turn in await chat.turns(thread_id) if turn[0] != "completed"] == []


async def test_an_answered_call_is_not_sent_again_when_the_clocks_of_two_workers_differ(start: Start) -> None:
    """By its timestamps the resumed turn may seem to have changed the call."""
    chat, other_worker = await start(AGENT), await start(AGENT)
    chat.upstream.script(Answer(tool_calls=[SELECT]), Answer("You selected a cat.", hang_after=2))
    async with await chat.visitor() as tab, other_worker.tab(cookies=tab.cookies) as other:
        thread_id = (await tab.create("What is this?")).thread_id
        output = {"thread_id": thread_id, "result": {"text": "cat"}}
        async with tab.open("threads.add_client_tool_output", output) as answer:
            await read_up_to(answer, "You selected")
            async with chat.sql.begin() as connection:
                is_call = thread_items.c.type == "client_tool_call"
                await connection.execute(update(thread_items).where(is_call).values(updated_at=datetime.now(UTC)))
            async with attaching(other, thread_id) as again:
                await read_up_to(again, "You selected")
                chat.upstream.release()
                await asyncio.gather(answer.read(), again.read())
        turn_id = answer.headers["x-chatkit-turn-id"]
        async with events(other_worker, other, turn_id) as stream:
            ended_events = [event async for _, event in stream]
        for replayed in (again.events, ended_events):
            types = [event["item"]["type"] for event in replayed if "item" in event]
            assert "assistant_message" in types
            assert "client_tool_call" not in types


async def test_equal_calls_get_their_answers_in_order(start: Start) -> None:
    chat = await start(AGENT)
    same = [ToolCall("scroll_to", {"section": "a"}, f"call_number_{n}") for n in range(2)]
    chat.upstream.script(Answer(tool_calls=same), Answer("Done."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Twice")).thread_id
        await tab.tool_output(thread_id, "first")
        await tab.tool_output(thread_id, "second")
        outputs = {
            call_id: output
            for _, call_id, output in calls_and_outputs(chat.upstream.requests[1].body["input"])
            if output
        }
        assert outputs == {"call_number_0": '"first"', "call_number_1": '"second"'}


async def test_the_next_message_closes_an_unanswered_call(start: Start) -> None:
    chat = await start(AGENT)
    chat.upstream.script(Answer(tool_calls=[SELECT]), Answer("Never mind then."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("What is this?")).thread_id
        reply = await tab.send(thread_id, "Forget it")
        assert reply.text == "Never mind then."
        assert "client_tool_call" not in str(reply.events)
        ((name, status, output),) = await calls(chat, thread_id)
        assert (name, status) == ("get_selection", "completed")
        assert "continued without it" in output["error"]
        answers = [output for _, _, output in calls_and_outputs(chat.upstream.requests[1].body["input"]) if output]
        assert len(answers) == 1
        assert "continued without it" in answers[0]
        late = await tab.tool_output(thread_id, "too late")
        assert late.types == ["error"]
        assert "waiting for an output" in late.events[0]["message"]


async def test_invalid_arguments_are_returned_to_the_model(start: Start) -> None:
    chat = await start(AGENT)
    chat.upstream.script(Answer(tool_calls=[ToolCall("scroll_to", {"place": 1})]), Answer("I see."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Scroll")
        assert (reply.text, tab.pictures[reply.thread_id].tool_calls) == ("I see.", [])
        assert "Error: the arguments are invalid" in str(chat.upstream.requests[1].body["input"])


async def test_a_failed_run_sends_no_call(start: Start) -> None:
    """The page gets a call only from a run that ended without an error."""

    @function_tool(failure_error_function=None)
    def breaks() -> str:
        """Breaks."""
        raise RuntimeError("broken")

    chat = await start(Agent(name="Breaker", tools=[scroll, breaks]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("scroll_to", {"section": "a"}), ToolCall("breaks")]))
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        assert reply.types[-1] == "error"
        assert tab.pictures[reply.thread_id].tool_calls == []


@pytest.mark.parametrize("has_transcript", [True, False])
async def test_an_image_from_the_page_is_not_kept_in_the_models_history(start: Start, has_transcript: bool) -> None:
    chat = await start(AGENT)
    chat.upstream.script(Answer(tool_calls=[SELECT]), Answer("I see."), Answer("Yes."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look")).thread_id
        picture = {"title": "My page", "image": "data:image/png;base64," + "A" * 900_000}
        await tab.tool_output(thread_id, picture)
        if not has_transcript:
            async with chat.sql.begin() as connection:
                await connection.execute(text("UPDATE turns SET transcript = NULL"))
        await tab.send(thread_id, "And?")
    for request in chat.upstream.requests[-2 if has_transcript else -1 :]:
        assert ("user", "Look") in model_input(request)
        ((_, _, output),) = [entry for entry in calls_and_outputs(request.body["input"]) if entry[2] is not None]
        assert output == '{"title": "My page", "image": "[a file, not stored]"}'
