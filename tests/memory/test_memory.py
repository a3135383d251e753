"""The history that the model gets of earlier turns (T21), as its endpoint received it."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from agents import Agent, RunContextWrapper, ToolOutputImage, function_tool
from chatkit.agents import ClientToolCall

from chatkit_server import ask_user, client_tool
from chatkit_server.memory import memory
from chatkit_server.memory.call_pairs import INTERRUPTED
from chatkit_server.models.client import direct_calls, prepared_calls, prepared_requests
from chatkit_server.models.client.packed_items import body_json, list_json
from chatkit_server.models.fit_messages import NO_ANSWER
from tests.interactions.test_approvals import agent as clerk
from tests.interactions.test_approvals import cards, outputs, press, request_deletion
from tests.interactions.test_questions import ASK
from tests.interactions.test_questions import answer as answer_to
from tests.support.openai_answers import Answer, Citation, Reasoning, Text, ToolCall
from tests.support.openai_server import ModelRequest
from tests.turns.chat import Chat, model_input, thread_of
from tests.turns.coming_back import asking, read_up_to
from tests.turns.conftest import Start
from tests.turns.crashing import recover_all

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"


@function_tool
def look_up(what: str) -> str:
    """Looks something up."""
    return f"{what} is 42"


def calls_of(request: ModelRequest) -> list[tuple[str, str]]:
    """Return (arguments, output) of each call in the order of the input, for either API."""
    outputs: dict[str, str] = {}
    calls: list[tuple[str, str]] = []
    for item in [*request.body.get("input", ()), *request.body.get("messages", ())]:
        if item.get("type") == "function_call":
            calls.append((item["call_id"], item["arguments"]))
        elif item.get("type") == "function_call_output":
            outputs[item["call_id"]] = str(item["output"])
        elif item.get("role") == "tool":
            outputs[item["tool_call_id"]] = str(item["content"])
        for call in item.get("tool_calls") or ():
            calls.append((call["id"], call["function"]["arguments"]))
    return [(arguments, outputs[call_id]) for call_id, arguments in calls]


def look_up_call(what: str, call_id: str | None = None) -> ToolCall:
    return ToolCall("look_up", {"what": what}, call_id)


def looked_up(*what: str) -> list[tuple[str, str]]:
    return [(json.dumps({"what": thing}), f"{thing} is 42") for thing in what]


async def transcripts(chat: Chat, thread_id: str) -> list[Any]:
    query = "SELECT transcript FROM turns WHERE thread_id = :id ORDER BY started_at, id"
    return [json.loads(text) if isinstance(text, str) else text for (text,) in await chat.select(query, id=thread_id)]


def team() -> Agent[Any]:
    """Return a triage agent that hands off to billing; both have tools."""
    billing = Agent[Any](name="Billing", instructions="You are billing.", tools=[look_up])
    return Agent(name="Triage", instructions="You are triage.", tools=[look_up], handoffs=[billing])


@both_apis
async def test_the_model_gets_its_tool_outputs_after_a_restart(start: Start) -> None:
    """Three tool calls, a handoff and a citation; then a new app on the same database."""
    chat = await start(team())
    chat.upstream.script(
        Answer(reasoning=Reasoning(["Two at once."]), tool_calls=[look_up_call("alpha"), look_up_call("beta")]),
        Answer(tool_calls=[ToolCall("transfer_to_billing")]),
        Answer("One moment. ", tool_calls=[look_up_call("gamma")]),
        Answer(Text("All are 42, says the web.", [Citation("https://web.example", "Web", 0, 3)])),
    )
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look up alpha, beta and gamma")).thread_id
        again = await start(team())
        async with again.tab(cookies=tab.cookies) as later:
            reply = await later.send(thread_id, "What did the tool say?")
            assert reply.error is None
    request = chat.upstream.requests[-1]
    calls = calls_of(request)
    assert calls[:2] + calls[3:] == looked_up("alpha", "beta", "gamma")
    assert json.loads(calls[2][1]) == {"assistant": "Billing"}
    assert model_input(request)[0] == ("user", "Look up alpha, beta and gamma")
    texts = [text for _, text in model_input(request) if text.strip()]
    assert texts[-3:] == ["One moment. ", "All are 42, says the web.", "What did the tool say?"]
    system = request.body.get("instructions") or request.body["messages"][0]["content"]
    assert system == "You are billing."


@sqlite_only
async def test_reasoning_is_sent_with_the_item_after_it_to_the_same_model_only(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(
        Answer(reasoning=Reasoning(["First."]), tool_calls=[look_up_call("alpha"), look_up_call("beta")]),
        Answer("Both are 42.", reasoning=Reasoning(["Then."])),
    )
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look up")).thread_id
        await tab.send(thread_id, "Go on")
        kinds = [(item.get("type"), "id" in item) for item in chat.upstream.requests[-1].body["input"][1:7]]
        assert kinds == [
            ("reasoning", True),
            ("function_call", True),
            ("function_call", False),
            ("function_call_output", False),
            ("function_call_output", False),
            ("reasoning", True),
        ]
        assert chat.upstream.requests[-1].body["input"][7]["content"][0]["text"] == "Both are 42."
        other = await start(Agent(name="test", tools=[look_up]), model="gpt-other")
        async with other.tab(cookies=tab.cookies) as later:
            assert (await later.send(thread_id, "And now?")).error is None
    items = chat.upstream.requests[-1].body["input"]
    assert [item for item in items if "id" in item or item.get("type") == "reasoning"] == []
    assert calls_of(chat.upstream.requests[-1]) == looked_up("alpha", "beta")


@sqlite_only
async def test_reasoning_is_dropped_if_the_message_after_it_was_deleted(start: Start) -> None:
    """The endpoint rejects it before the call that followed the message."""
    chat = await start(Agent(name="test", tools=[look_up]), show_tools=False)
    chat.upstream.script(
        Answer(output=[Reasoning(["Hm."]), Text("One moment."), look_up_call("alpha")]),
        Answer("It is 42."),
    )
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look up")).thread_id
        first = next(item["id"] for item in tab.pictures[thread_id].of_type("assistant_message"))
        await chat.services.store.delete_thread_item(thread_id, first, await chat.owner(thread_id))
        assert (await tab.send(thread_id, "And?")).error is None
    items = chat.upstream.requests[-1].body["input"]
    assert [item for item in items if item.get("type") == "reasoning"] == []
    assert calls_of(chat.upstream.requests[-1]) == looked_up("alpha")


@both_apis
async def test_a_stop_during_a_tool_gives_its_call_an_output_that_says_so(start: Start) -> None:
    running = asyncio.Event()

    @function_tool
    async def wait() -> str:
        """Waits."""
        running.set()
        await asyncio.sleep(60)
        return "done"

    chat = await start(Agent(name="test", tools=[look_up, wait]))
    chat.upstream.script(
        Answer(tool_calls=[look_up_call("alpha")]),
        Answer("Now I wait.", reasoning=Reasoning(["Hm."]), tool_calls=[ToolCall("wait")]),
    )
    async with await chat.visitor() as tab:
        async with await chat.ask(tab, "Look and wait") as stream:
            await stream.read_until(lambda frame: "thread.created" in frame.data)
            thread_id = thread_of(stream)
            await stream.read_until(lambda frame: "Now I wait." in frame.data and "thread.item.done" in frame.data)
            async with asyncio.timeout(30):
                await running.wait()
            await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        assert (await tab.send(thread_id, "What happened?")).error is None
    request = chat.upstream.requests[-1]
    assert calls_of(request) == [*looked_up("alpha"), ("{}", INTERRUPTED)]
    texts = [text for _, text in model_input(request) if text]
    assert texts[:2] == ["Look and wait", "Now I wait."]
    assert "stopped the answer" in texts[-1]
    assert texts[-1].endswith("What happened?")


@both_apis
@pytest.mark.parametrize("is_in_a_tool", [True, False])
async def test_the_model_gets_the_calls_of_a_crashed_turn(start: Start, is_in_a_tool: bool) -> None:
    running = asyncio.Event()

    @function_tool
    async def wait() -> str:
        """Waits."""
        running.set()
        await asyncio.sleep(60)
        return "done"

    first_worker, second_worker = [
        await start(Agent(name="test", tools=[look_up, wait]), heartbeat_seconds=60) for _ in range(2)
    ]
    next_step = Answer(tool_calls=[ToolCall("wait")]) if is_in_a_tool else Answer("one two three", hang_after=2)
    first_worker.upstream.script(Answer(tool_calls=[look_up_call("alpha")]), next_step)
    async with await first_worker.visitor() as tab, second_worker.tab(cookies=tab.cookies) as other:
        async with asking(tab, "Look") as first:
            await first.wait_for("thread.created")
            if is_in_a_tool:
                async with asyncio.timeout(30):
                    await running.wait()
            else:
                await read_up_to(first, "one two")
            await first_worker.services.turns._journal.write()
            await recover_all(second_worker)
            assert await first_worker.turns(first.thread_id) == [("interrupted", "crash")]
        first_worker.upstream.script(Answer("fine"))
        assert (await other.send(first.thread_id, "What happened?")).text == "fine"
    request = first_worker.upstream.requests[-1]
    assert calls_of(request) == looked_up("alpha") + ([("{}", INTERRUPTED)] if is_in_a_tool else [])
    texts = [text for role, text in model_input(request) if role in ("user", "assistant") and text]
    assert texts == ["Look", NO_ANSWER if is_in_a_tool else "one two", "What happened?"]


@both_apis
async def test_the_partial_text_of_a_stopped_answer_is_replayed(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", reasoning=Reasoning(["Count."]), hang_after=4))
    async with await chat.visitor() as tab:
        async with await chat.ask(tab, "Count") as stream:
            await stream.read_until(lambda frame: '"two' in frame.data or " two" in frame.data)
            await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
            thread_id = thread_of(stream)
        (partial,) = [text for role, text in (await tab.reload(thread_id)).texts() if role == "assistant"]
        assert (await tab.send(thread_id, "Go on")).error is None
    assert ("assistant", partial) in model_input(chat.upstream.requests[-1])
    assert "Count." not in json.dumps(
        chat.upstream.requests[-1].body["input" if "input" in chat.upstream.requests[-1].body else "messages"][1:-1]
    )


@sqlite_only
async def test_a_failed_turn_is_replayed_up_to_its_failure(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(Answer(tool_calls=[look_up_call("alpha")]), Answer("It is", error_after=2))
    async with await chat.visitor() as tab:
        reply = await tab.create("Look up alpha")
        assert reply.error is not None
        await tab.send(reply.thread_id, "Go on")
    assert calls_of(chat.upstream.requests[-1]) == looked_up("alpha")
    assert model_input(chat.upstream.requests[-1])[1:] == [("assistant", "It is"), ("user", "Go on")]


@both_apis
async def test_a_retry_drops_the_calls_of_the_replaced_answer(start: Start) -> None:
    chat = await start(team())
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("transfer_to_billing")]),
        Answer(tool_calls=[look_up_call("alpha")]),
        Answer("Old."),
        Answer(tool_calls=[look_up_call("beta")]),
        Answer("New."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Look up")
        await tab.retry(reply.thread_id, reply.user_item["id"])
        retried = chat.upstream.requests[3]
        assert calls_of(retried) == []
        assert model_input(retried) == [("user", "Look up")]
        await tab.send(reply.thread_id, "And?")
    last = chat.upstream.requests[-1]
    assert calls_of(last) == looked_up("beta")
    assert [(role, text) for role, text in model_input(last) if text] == [
        ("user", "Look up"),
        ("assistant", "New."),
        ("user", "And?"),
    ]
    assert "You are triage." in json.dumps(last.body)


@sqlite_only
async def test_a_retry_that_failed_at_once_keeps_the_old_answer(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(Answer(tool_calls=[look_up_call("alpha")]), Answer("Old."), Answer("x", error_after=0))
    async with await chat.visitor() as tab:
        reply = await tab.create("Look up")
        assert (await tab.retry(reply.thread_id, reply.user_item["id"])).error is not None
        await tab.send(reply.thread_id, "And?")
    assert calls_of(chat.upstream.requests[-1]) == looked_up("alpha")
    assert model_input(chat.upstream.requests[-1])[1:] == [("assistant", "Old."), ("user", "And?")]


@sqlite_only
async def test_the_oldest_turns_are_left_out_completely(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up]), history_tokens=1100)
    async with await chat.visitor() as tab:
        thread_id = ""
        for number in range(4):
            chat.upstream.script(Answer(tool_calls=[look_up_call(f"{number}" * 400)]), Answer(f"{number}" * 1000))
            reply = await (tab.send(thread_id, f"Question {number}") if thread_id else tab.create("Question 0"))
            thread_id = reply.thread_id
        await tab.send(thread_id, "And?")
    last = chat.upstream.requests[-1]
    assert calls_of(last) == looked_up("2" * 400, "3" * 400)
    assert model_input(last)[0] == ("user", "Question 2")


@sqlite_only
async def test_a_turn_with_too_long_outputs_is_reduced_to_its_visible_items(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up]), history_tokens=600)
    chat.upstream.script(Answer(tool_calls=[look_up_call("long" * 1000)]), Answer("It is 42."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Look up")
        await tab.send(reply.thread_id, "And?")
    last = chat.upstream.requests[-1]
    assert calls_of(last) == []
    assert model_input(last) == [("user", "Look up"), ("assistant", "It is 42."), ("user", "And?")]


@sqlite_only
async def test_a_text_that_begins_like_a_file_counts_as_text(start: Start) -> None:
    chat = await start(history_tokens=4000)
    text = "data:" + "word " * 10_000
    async with await chat.visitor() as tab:
        thread_id = (await tab.create(text)).thread_id
        await tab.send(thread_id, text)
        await tab.send(thread_id, "Hi")
    assert model_input(chat.upstream.requests[-1]) == [("user", "Hi")]


@both_apis
async def test_the_answer_of_the_page_is_the_output_of_the_client_tool(start: Start) -> None:
    @function_tool
    async def look(context: RunContextWrapper[Any]) -> str:
        """Asks the page."""
        context.context.client_tool_call = ClientToolCall(name="look", arguments={"at": "page"})
        return "asked"

    agent = Agent[Any](name="test", tools=[look], tool_use_behavior={"stop_at_tool_names": ["look"]})
    chat = await start(agent)
    chat.upstream.script(Answer(reasoning=Reasoning(["See."]), tool_calls=[ToolCall("look")]), Answer("I see."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look")).thread_id
        await tab.tool_output(thread_id, {"seen": "a chart"})
        await tab.send(thread_id, "And?")
    for request in chat.upstream.requests[1:]:
        ((_, output),) = calls_of(request)
        assert json.loads(output) == {"seen": "a chart"}


@sqlite_only
async def test_a_client_tool_without_an_answer_still_gets_an_output(start: Start) -> None:
    @function_tool
    async def look(context: RunContextWrapper[Any]) -> str:
        """Asks the page."""
        context.context.client_tool_call = ClientToolCall(name="look", arguments={})
        return "asked"

    chat = await start(Agent[Any](name="test", tools=[look], tool_use_behavior={"stop_at_tool_names": ["look"]}))
    chat.upstream.script(Answer(tool_calls=[ToolCall("look")]))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look")).thread_id
        assert (await tab.send(thread_id, "Never mind")).error is None
    ((_, output),) = calls_of(chat.upstream.requests[-1])
    assert "continued without it" in str(output)


@both_apis
async def test_the_same_call_id_in_two_turns_means_two_calls(start: Start) -> None:
    """Some servers number the calls of each request from 0."""
    chat = await start(Agent(name="test", tools=[look_up]))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[look_up_call("alpha", "call_0")]), Answer("One."))
        thread_id = (await tab.create("Look up")).thread_id
        chat.upstream.script(Answer(tool_calls=[look_up_call("beta", "call_0")]), Answer("Two."))
        await tab.send(thread_id, "Another")
        assert (await tab.send(thread_id, "And?")).error is None
    body = chat.upstream.requests[-1].body
    assert [out for out in ("alpha is 42", "beta is 42") if out in json.dumps(body)] == ["alpha is 42", "beta is 42"]


@sqlite_only
async def test_the_transcript_contains_no_images(start: Start) -> None:
    @function_tool
    def draw() -> ToolOutputImage:
        """Draws."""
        return ToolOutputImage(image_url=f"data:image/png;base64,{PIXEL}")

    @function_tool
    def dump() -> str:
        """Dumps."""
        return json.dumps({"file": f"data:image/png;base64,{PIXEL}"})

    chat = await start(Agent(name="test", tools=[draw, dump]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("draw"), ToolCall("dump")]), Answer("Drawn."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Draw")).thread_id
        assert (await tab.send(thread_id, "And?")).error is None
    assert PIXEL in json.dumps(chat.upstream.requests[1].body)
    assert PIXEL not in json.dumps(await transcripts(chat, thread_id))
    assert "an image, not stored" in json.dumps(chat.upstream.requests[-1].body)


@sqlite_only
async def test_a_turn_without_a_transcript_is_replayed_as_its_visible_items(start: Start) -> None:
    """For example a turn of an earlier version."""
    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(Answer(tool_calls=[look_up_call("alpha")]), Answer("It is 42."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Look up")).thread_id
        async with chat.sql.begin() as connection:
            from sqlalchemy import text

            await connection.execute(text("UPDATE turns SET transcript = NULL"))
        await tab.send(thread_id, "And?")
    assert model_input(chat.upstream.requests[-1])[1] == ("assistant", "It is 42.")
    assert calls_of(chat.upstream.requests[-1]) == []


ORDER_17 = {"call_of_order_17": "order 17 is deleted"}
"""The output of the approved tool."""
FAILURE_BEFORE_TEXT = Answer("x", error_after=0)


def shape(request: ModelRequest) -> list[str]:
    """Return the kind of each item in the model's input."""
    kinds = {"function_call": "call", "function_call_output": "output"}
    return [
        "card" if "graphical UI widget" in str(item) else kinds.get(item.get("type"), item.get("role"))
        for item in request.body["input"]
    ]


@pytest.mark.parametrize("show_tools", [True, False])
async def test_an_approved_call_is_replayed_if_its_turn_failed_before_any_text(start: Start, show_tools: bool) -> None:
    chat = await start(clerk([]), show_tools=show_tools)
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        chat.upstream.script(FAILURE_BEFORE_TEXT, Answer("It is gone."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).error is not None
        await tab.send(thread_id, "What happened?")
        await tab.send(thread_id, "Really?")
    for request in chat.upstream.requests[-2:]:
        assert outputs(request.body["input"]) == ORDER_17
    assert shape(chat.upstream.requests[-2]) == ["user", "assistant", "card", "call", "output", "assistant", "user"]


async def test_an_approved_call_is_replayed_if_a_new_message_stopped_its_turn(start: Start) -> None:
    done: list[str] = []
    chat = await start(clerk(done))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as other:
        thread_id = await request_deletion(chat, tab, 17)
        chat.upstream.script(Answer("one two", hang_after=0), Answer("Gone."))
        pressing = asyncio.create_task(press(tab, thread_id, cards(tab, thread_id)[0], "Approve"))
        await (await chat.upstream.wait_for_request(2)).wait_hanging()
        await other.send(thread_id, "And?")
        await pressing
        assert await chat.turns(thread_id) == [("completed", None), ("stopped", "superseded"), ("completed", None)]
    assert len(done) == 1
    assert outputs(chat.upstream.requests[-1].body["input"]) == ORDER_17


async def test_an_approved_call_is_replayed_if_its_worker_crashed_before_any_text(start: Start) -> None:
    first_worker, second_worker = [await start(clerk([]), heartbeat_seconds=60) for _ in range(2)]
    async with await first_worker.visitor() as tab, second_worker.tab(cookies=tab.cookies) as other:
        thread_id = await request_deletion(first_worker, tab, 17)
        first_worker.upstream.script(Answer("one two", hang_after=0), Answer("Gone."))
        pressing = asyncio.create_task(press(tab, thread_id, cards(tab, thread_id)[0], "Approve"))
        await (await first_worker.upstream.wait_for_request(2)).wait_hanging()
        await first_worker.services.turns._journal.write()
        await recover_all(second_worker)
        await other.send(thread_id, "What happened?")
        first_worker.upstream.release()
        with pytest.raises(aiohttp.ClientPayloadError):  # the worker has lost the turn: its reader has to attach again
            await pressing
    assert outputs(first_worker.upstream.requests[-1].body["input"]) == ORDER_17


async def test_calls_after_a_client_tool_are_replayed_without_any_text(start: Start) -> None:
    """The page answers, a tool runs, the agent hands off, then the model fails."""

    @client_tool
    async def look(at: str) -> None:
        """Looks at the page."""

    agent = team()
    agent.tools.append(look)
    chat = await start(agent, show_tools=False)
    async with await chat.visitor() as tab:
        chat.upstream.script(
            Answer(tool_calls=[ToolCall("look", {"at": "it"}, "call_page")]),
            Answer(tool_calls=[look_up_call("alpha")]),
            Answer(tool_calls=[ToolCall("transfer_to_billing")]),
            FAILURE_BEFORE_TEXT,
        )
        thread_id = (await tab.create("Go")).thread_id
        assert (await tab.tool_output(thread_id, "seen")).error is not None
        await tab.send(thread_id, "And?")
    last = chat.upstream.requests[-1]
    calls = calls_of(last)
    assert calls[:2] == [('{"at": "it"}', '"seen"'), *looked_up("alpha")]
    assert json.loads(calls[2][1]) == {"assistant": "Billing"}
    assert last.body["instructions"] == "You are billing."


@sqlite_only
async def test_calls_after_the_answer_to_a_question_are_replayed_without_any_text(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up, ask_user]), show_tools=False)
    async with await chat.visitor() as tab:
        chat.upstream.script(ASK, Answer(tool_calls=[look_up_call("alpha")]), FAILURE_BEFORE_TEXT)
        thread_id = (await tab.create("I want a shirt")).thread_id
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        assert (await answer_to(tab, thread_id, question, {"answers": {"q1": {"values": ["L"]}}})).error is not None
        await tab.send(thread_id, "And?")
    assert looked_up("alpha")[0] in calls_of(chat.upstream.requests[-1])


async def test_a_retry_drops_a_turn_without_items_unless_the_retry_fails(start: Start) -> None:
    chat = await start(clerk([]))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        user_item = tab.pictures[thread_id].items[0]
        chat.upstream.script(
            FAILURE_BEFORE_TEXT, FAILURE_BEFORE_TEXT, Answer("It is gone."), Answer("New."), Answer("Yes.")
        )
        await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        assert (await tab.retry(thread_id, user_item["id"])).error is not None
        assert outputs(chat.upstream.requests[-1].body["input"]) == {}
        await tab.send(thread_id, "What happened?")
        assert outputs(chat.upstream.requests[-1].body["input"]) == ORDER_17
        await tab.retry(thread_id, user_item["id"])
        await tab.send(thread_id, "Sure?")
    for request in chat.upstream.requests[-2:]:
        assert outputs(request.body["input"]) == {}


async def test_a_turn_without_items_is_placed_by_its_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PAGE_SIZE", 1)
    chat = await start(clerk([]))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        chat.upstream.script(FAILURE_BEFORE_TEXT)
        await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        for text in ("One", "Two", "Three"):
            await tab.send(thread_id, text)
    last = chat.upstream.requests[-1]
    assert outputs(last.body["input"]) == ORDER_17
    assert shape(last)[:7] == ["user", "assistant", "card", "call", "output", "assistant", "user"]


@sqlite_only
async def test_a_retry_drops_the_old_calls_of_a_message_on_an_older_page(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PAGE_SIZE", 1)
    chat = await start(Agent(name="test", tools=[look_up]), show_tools=False)
    chat.upstream.script(Answer(tool_calls=[look_up_call("OLD", "call_old")]), Answer("Old."), Answer("New."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Look up")
        await tab.retry(reply.thread_id, reply.user_item["id"])
        await tab.send(reply.thread_id, "And?")
    assert model_input(chat.upstream.requests[-1]) == [("user", "Look up"), ("assistant", "New."), ("user", "And?")]
    assert outputs(chat.upstream.requests[-1].body["input"]) == {}


async def test_a_retry_drops_the_old_calls_but_keeps_the_note_of_the_old_turn(start: Start) -> None:
    """The turn of a message writes a note about undecided approvals before that message."""
    chat = await start(Agent(name="Clerk", tools=[*clerk([]).tools, look_up]))
    async with await chat.visitor() as tab:
        thread_id = await request_deletion(chat, tab, 17)
        chat.upstream.script(Answer(tool_calls=[look_up_call("OLD", "call_old")]), Answer("Old."), Answer("New."))
        reply = await tab.send(thread_id, "Leave it, look something up")
        await tab.retry(thread_id, reply.user_item["id"])
        await tab.send(thread_id, "And?")
    for request in chat.upstream.requests[-2:]:
        assert "call_old" not in outputs(request.body["input"])
        texts = [text for _, text in model_input(request) if text]
        (text,) = (text for text in texts if "Leave it" in text)
        assert text.index("did not") < text.index("Leave it")


@both_apis
@sqlite_only
async def test_the_endpoint_gets_the_same_history_with_and_without_the_cache(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies, packed = [], []

    def encode(body: Any) -> bytes:
        packed.append(any(getattr(value, "is_packed", False) for value in body.values()))
        return body_json(body)

    def encode_list(items: Any, *around: bytes) -> bytes:
        packed.append(items.is_packed)
        return list_json(items, *around)

    for module in (prepared_requests, direct_calls):
        monkeypatch.setattr(module, "body_json", encode)
    monkeypatch.setattr(prepared_calls, "list_json", encode_list)
    for size in (0, 1_000_000):
        chat = await start(Agent(name="test", instructions="Be kind.", tools=[look_up]), history_cache_bytes=size)
        calls = [Answer(tool_calls=[look_up_call("alpha", "call_1")]), Answer("It is 42.")]
        chat.upstream.script(
            *(Answer(f"Answer {n}") for n in range(4)), *calls, *(Answer(f"Last {n}") for n in range(3))
        )
        async with await chat.visitor() as tab:
            thread_id = (await tab.create("Question 0")).thread_id
            for number in range(1, 8):
                assert (await tab.send(thread_id, f"Question {number}")).error is None
        bodies.append([request.body for request in chat.upstream.requests])
        assert (chat.services.server.memory_cache.size > 0) == (size > 0)
        assert any(packed) == (size > 0 and chat.upstream.requests[-1].path.endswith("/responses"))
        del chat.upstream.requests[:]
    without, cached = (
        [
            [{name: value for name, value in item.items() if name != "id"} for item in body.get("input", ())]
            + body.get("messages", [])
            for body in requests
        ]
        for requests in bodies
    )
    assert cached == without
    assert len(cached) == 9
