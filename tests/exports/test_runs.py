"""What the runs of an exported workflow may be: streamed, nested in tools, handed over, with contexts and helpers."""

import asyncio
from typing import Any

import pytest
from agents import RunContextWrapper, Runner, function_tool, handoff
from chatkit.types import ProgressUpdateEvent
from chatkit.widgets import DynamicWidgetRoot

from chatkit_server import AgentContext
from tests.exports.inputs import inputs
from tests.exports.small import Topic, WorkflowInput, finder, helper
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import SERVER_ERROR, Answer, Reasoning, ToolCall
from tests.turns.coming_back import asking, attaching, read_up_to
from tests.turns.conftest import Start

FOUND = Answer('{"topic": "tea"}')


async def as_shown(tab: Tab, reply: Reply) -> list[tuple[str, str]]:
    """Return the answers, which a reload shows as the stream did."""
    picture = await tab.reload(reply.thread_id)
    assert picture.items == tab.pictures[reply.thread_id].items
    assert reply.error is None
    return [text for text in picture.texts() if text[0] == "assistant"]


async def test_a_streamed_run_is_shown_and_read_by_the_workflow(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        topic = Runner.run_streamed(finder(), workflow_input.input_as_text)
        async for _ in topic.stream_events():
            pass
        answer = Runner.run_streamed(helper(), [{"role": "user", "content": workflow_input.input_as_text}])
        text = ""
        async for event in answer.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                text += event.data.delta
        assert isinstance(topic.final_output, Topic)
        return {"output_text": text, "topic": topic.final_output.topic, "is_read": text == answer.final_output}

    chat = await start(run_workflow)
    chat.upstream.script(FOUND, Answer("Green."), FOUND, Answer("Black."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert await as_shown(tab, reply) == [("assistant", "Green.")]
        (block,) = tab.pictures[reply.thread_id].of_type("workflow")
        assert [task["status_indicator"] for task in block["workflow"]["tasks"]] == ["complete"]
        assert len(await as_shown(tab, await tab.send(reply.thread_id, "And you?"))) == 2
        await tab.session.close()
        await chat.quiet()
    history = [("user", "Tea?"), ("assistant", "Green."), ("user", "And you?")]
    assert inputs(chat.upstream) == [history[:1], history[:1], history, history]


async def test_a_streamed_run_that_the_workflow_stops_reading(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        talker = helper("Talker", instructions="Talk.")
        answer = Runner.run_streamed(talker, workflow_input.input_as_text)
        async for _ in answer.stream_events():
            break
        unread = Runner.run_streamed(helper("Unread"), workflow_input.input_as_text)
        return str(type(unread).__mro__[1].__name__)

    chat = await start(run_workflow)
    # Both runs are under way at once, so their requests may arrive in any order.
    chat.upstream.default = lambda request: Answer("one two" if "Talk." in str(request.body) else "three")
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert await as_shown(tab, reply) == [
            ("assistant", "one two"),
            ("assistant", "three"),
            ("assistant", "RunResultStreaming"),
        ]
        await tab.session.close()
        await chat.quiet()


@pytest.mark.parametrize("is_caught", [True, False])
async def test_the_failure_of_a_streamed_run_reaches_the_workflow(start: Start, is_caught: bool) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        answer = Runner.run_streamed(helper(), workflow_input.input_as_text)
        try:
            async for _ in answer.stream_events():
                pass
        except Exception:
            if not is_caught:
                raise
            return "Sorry."

    chat = await start(run_workflow)
    chat.upstream.script(Answer(fail=SERVER_ERROR))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert (reply.text == "Sorry.") is is_caught
        assert (reply.error is None) is is_caught
        await tab.session.close()
        await chat.quiet()


async def test_a_workflow_does_not_continue_behind_a_streamed_run_without_a_result(start: Start) -> None:
    continued: list[Any] = []

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        answer = Runner.run_streamed(finder(), workflow_input.input_as_text)
        async for _ in answer.stream_events():
            pass
        continued.append(answer.final_output)

    chat = await start(run_workflow)
    chat.upstream.script(Answer(refusal="I must not."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert (reply.error, reply.text) == (None, "I must not.")
        await tab.session.close()
        await chat.quiet()
    assert continued == []


async def test_stop_ends_a_streamed_run(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        first = Runner.run_streamed(helper(), workflow_input.input_as_text)
        second = Runner.run_streamed(helper(), "Beside it")
        async for _ in first.stream_events():
            pass
        return second.final_output

    chat = await start(run_workflow)
    chat.upstream.script(Answer("one two", hang_after=1), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, await chat.ask(tab, "Go") as stream:
        await stream.read_until(lambda frame: '"delta":"one' in frame.data)
        await chat.upstream.wait_for_request(2)
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        for request in chat.upstream.requests:
            await request.wait_closed()
        await stream.read_to_end()
        await tab.session.close()
        await chat.quiet()


async def test_stop_ends_a_streamed_run_for_every_tab_that_reads_it(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        answer = Runner.run_streamed(helper(), workflow_input.input_as_text)
        async for _ in answer.stream_events():
            pass
        return {"output_text": answer.final_output}

    chat = await start(run_workflow)
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Go") as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            await chat.stop(second, first.headers["x-chatkit-turn-id"])
            async with asyncio.timeout(30):
                await asyncio.gather(first.read(), again.read())
        await chat.upstream.requests[0].wait_closed()
        assert chat.upstream.requests[0].client_gone
        assert await chat.messages(first.thread_id) == [("user", "Go"), ("assistant", "one two")]
        assert first.error is again.error is None
        assert first.picture.items == again.picture.items == (await tab.reload(first.thread_id)).items
        await second.session.close()
        await tab.session.close()
        await chat.quiet()


async def test_runs_inside_tools_use_our_models_and_are_not_shown(start: Start) -> None:
    inner = helper("Inner")

    @function_tool
    async def ask() -> str:
        """Asks another agent."""
        result = await Runner.run(inner, "Inside")
        return f"inner said {result.final_output}"

    outer = helper("Outer", tools=[ask, inner.as_tool("ask_inner", "Asks.")])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        return await Runner.run(outer, workflow_input.input_as_text)

    chat = await start(run_workflow)
    calls = [ToolCall("ask", {}, "c1"), ToolCall("ask_inner", {"input": "As a tool"}, "c2")]
    chat.upstream.script(Answer(tool_calls=calls), Answer("yes"), Answer("yes"), Answer("Both said yes."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert await as_shown(tab, reply) == [("assistant", "Both said yes.")]
    first, *nested, last = inputs(chat.upstream)
    assert sorted(nested) == [[("user", "As a tool")], [("user", "Inside")]], "without the thread"
    assert first == [("user", "Tea?")]
    assert ("function_call_output", "inner said yes") in last
    ((read, written),) = await chat.select("SELECT input_tokens, output_tokens FROM turns")
    assert written == sum(request.tokens_sent for request in chat.upstream.requests)
    assert read > 0


async def test_a_handoff(start: Start) -> None:
    expert = helper("Expert")
    triage = finder().clone(name="Triage", handoffs=[handoff(expert)])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        result = await Runner.run(triage, workflow_input.input_as_text)
        return {"output_text": result.final_output_as(str), "agent": result.last_agent.name}

    chat = await start(run_workflow, show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("transfer_to_expert", {}, "c1")]), Answer("I know tea."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert await as_shown(tab, reply) == [("assistant", "I know tea.")]
        assert "loading" not in str(tab.pictures[reply.thread_id].items)
        titles = [
            task["title"]
            for block in tab.pictures[reply.thread_id].of_type("workflow")
            for task in block["workflow"]["tasks"]
        ]
        assert titles == ["Triage", "Expert takes over"]
        chat.upstream.script(Answer('{"topic": "milk"}'))
        second = await tab.send(reply.thread_id, "Milk?")
        assert second.text == "milk"


@pytest.mark.parametrize("context", [None, {"state_plan": "pro"}], ids=["ours", "the author's own"])
async def test_helpers_of_the_context_show_what_they_show(start: Start, context: Any) -> None:
    @function_tool
    async def look(context: RunContextWrapper[Any]) -> str:
        """Looks."""
        turn = AgentContext.of(context)
        await turn.stream(ProgressUpdateEvent(text="Looking"))
        card = {"type": "Card", "children": [{"type": "Text", "value": "Found"}]}
        await turn.stream_widget(DynamicWidgetRoot.model_validate(card))
        return turn.thread.id

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        looked = await Runner.run(helper(tools=[look]), workflow_input.input_as_text, context=context)
        return {"output_text": looked.final_output}

    chat = await start(run_workflow)
    chat.upstream.script(Answer(tool_calls=[ToolCall("look", {}, "c1")]), Answer("I looked."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Look")
        assert await as_shown(tab, reply) == [("assistant", "I looked.")]
        assert [event["text"] for event in reply.of_type("progress_update")] == ["Looking"]
        (widget,) = tab.pictures[reply.thread_id].of_type("widget")
        assert widget["widget"]["children"][0]["value"] == "Found"
    assert ("function_call_output", reply.thread_id) in inputs(chat.upstream)[1]


async def test_a_context_of_the_authors_own(start: Start) -> None:
    @function_tool
    async def plan(context: RunContextWrapper[dict[str, str]]) -> str:
        """Tells the plan."""
        return context.context["plan"]

    @function_tool
    async def fail() -> str:
        """Fails."""
        raise RuntimeError

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        context = {"plan": "pro"}
        return await Runner.run(helper(tools=[plan, fail]), workflow_input.input_as_text, context=context)

    chat = await start(run_workflow, show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("plan", {}, "c1"), ToolCall("fail", {}, "c2")]), Answer("Pro."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Which plan?")
        assert await as_shown(tab, reply) == [("assistant", "Pro.")]
        (block,) = tab.pictures[reply.thread_id].of_type("workflow")
        states = {task["title"]: task["status_indicator"] for task in block["workflow"]["tasks"]}
        assert states == {"Plan": "complete", "Fail": "none"}
    assert ("function_call_output", "pro") in inputs(chat.upstream)[1]


async def test_two_turns_at_once_share_nothing(start: Start) -> None:
    both = asyncio.Event()
    waiting: list[str] = []

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        state: dict[str, Any] = {"texts": []}
        first = await Runner.run(shared, workflow_input.input_as_text)
        state["texts"].append(first.final_output)
        waiting.append(workflow_input.input_as_text)
        if len(waiting) == 2:
            both.set()
        async with asyncio.timeout(30):
            await both.wait()
        second = await Runner.run(shared, [{"role": "user", "content": workflow_input.input_as_text}])
        return {"output_text": " and ".join([*state["texts"], second.final_output])}

    shared = helper()
    chat = await start(run_workflow)
    chat.upstream.default = lambda request: Answer(request.body["input"][-1]["content"][0]["text"].upper())
    async with await chat.visitor() as ada, await chat.visitor() as bob:
        replies = await asyncio.gather(ada.create("ada"), bob.create("bob"))
        assert [await as_shown(tab, reply) for tab, reply in zip((ada, bob), replies, strict=True)] == [
            [("assistant", "ADA"), ("assistant", "ADA"), ("assistant", "ADA and ADA")],
            [("assistant", "BOB"), ("assistant", "BOB"), ("assistant", "BOB and BOB")],
        ]


async def test_a_step_shows_its_thoughts_and_calls_below_its_name(start: Start) -> None:
    @function_tool
    def look() -> str:
        """Looks."""
        return "seen"

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        topic = await Runner.run(finder().clone(tools=[look]), workflow_input.input_as_text)
        return await Runner.run(helper(), topic.to_input_list())

    chat = await start(run_workflow, show_tools=True)
    thinking = Reasoning(["What is it?"])
    chat.upstream.script(
        Answer(reasoning=thinking, tool_calls=[ToolCall("look", {}, "c1")]), FOUND, Answer("Green.", reasoning=thinking)
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert await as_shown(tab, reply) == [("assistant", "Green.")]
        blocks = tab.pictures[reply.thread_id].of_type("workflow")
        titles = [[task.get("title") or task["content"] for task in block["workflow"]["tasks"]] for block in blocks]
        assert titles == [["Topic finder"], ["What is it?", "Look"], ["What is it?"]]
        assert "loading" not in str(blocks)
        chat.upstream.script(FOUND, Answer("Black."))
        assert (await tab.send(reply.thread_id, "And you?")).text == "Black."
    assert [kind for kind, _ in inputs(chat.upstream)[3]] == [
        "user",
        "reasoning",
        "function_call",
        "function_call_output",
        "reasoning",
        "assistant",
        "user",
    ]
