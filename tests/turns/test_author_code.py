"""Whatever the author's code raises fails its own call, and nothing else; what blocks the event loop is named."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from agents import (
    Agent,
    AgentHooks,
    GuardrailFunctionOutput,
    RunContextWrapper,
    function_tool,
    input_guardrail,
    output_guardrail,
)

from chatkit_server import Actions, ChatServer, Entity, RequestContext
from tests.files.uploading import UploadClient
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.conftest import Start

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Odd(BaseException):
    """What no `except Exception` sees."""


async def exit_in_a_task() -> None:
    async def leave() -> None:
        sys.exit(5)

    await asyncio.create_task(leave())


async def cancel_a_child() -> None:
    child = asyncio.create_task(asyncio.sleep(60))
    child.cancel()
    await child


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup():
        raise Odd("in a group")


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


SYNCHRONOUS: dict[str, Callable[[], None]] = {
    "exit": raising(SystemExit(3)),
    "stop": raising(StopIteration("x")),
    "stop_async": raising(StopAsyncIteration("x")),
    "close": raising(GeneratorExit()),
    "odd": raising(Odd("odd")),
    "cancel": raising(asyncio.CancelledError()),
    "memory": raising(MemoryError()),
    "recursion": raising(RecursionError("too deep")),
}
ASYNCHRONOUS = {"exit_in_a_task": exit_in_a_task, "cancel_a_child": cancel_a_child, "fail_in_a_group": fail_in_a_group}


def failing_tools() -> list[Any]:
    """Return tools that raise each error: as `def`, as `async def`, and with a `failure_error_function`."""
    tools = []
    for name, fail in SYNCHRONOUS.items():

        def run(fail: Callable[[], None] = fail) -> str:
            fail()
            return "never"

        async def run_async(fail: Callable[[], None] = fail) -> str:
            fail()
            return "never"

        tools += [_tool(run, name), _tool(run_async, f"{name}_async"), _tool(run, f"{name}_told", told=True)]
    for name, coroutine in ASYNCHRONOUS.items():

        async def run_coroutine(coroutine: Callable[[], Any] = coroutine) -> str:
            await coroutine()
            return "never"

        tools.append(_tool(run_coroutine, name))
    return tools


def _tool(function: Callable[..., Any], name: str, *, told: bool = False) -> Any:
    def without_arguments() -> Any:
        return function()

    async def awaited_without_arguments() -> Any:
        return await function()

    plain = awaited_without_arguments if asyncio.iscoroutinefunction(function) else without_arguments
    plain.__doc__ = "A tool of the test."
    options: dict[str, Any] = {"failure_error_function": lambda context, error: "my own words"} if told else {}
    return function_tool(plain, name_override=name, **options)


def ends(picture: Any) -> list[tuple[Any, Any]]:
    """Return indicator and content of each task that the picture shows."""
    return [
        (task["status_indicator"], task.get("content"))
        for workflow in picture.of_type("workflow")
        for task in workflow["workflow"]["tasks"]
    ]


async def test_whatever_a_tool_raises_is_logged_shown_and_told_to_the_model(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    tools = failing_tools()
    chat = await start(Agent(name="test", tools=tools), show_tools=True, tool_seconds=20)
    async with await chat.visitor() as tab:
        for tool in tools:
            caplog.clear()
            chat.upstream.script(Answer(tool_calls=[ToolCall(tool.name)]), Answer("Sorry."))
            reply = await tab.create("Go")
            assert (tool.name, reply.error, reply.text) == (tool.name, None, "Sorry.")
            assert (tool.name, ends(reply.picture)) == (tool.name, [("none", "This failed.")])
            assert f"the tool {tool.name} failed" in caplog.text
            assert "test_author_code.py" in caplog.text
            output = chat.upstream.requests[-1].body["input"][-1]["output"]
            assert output == "my own words" if tool.name.endswith("_told") else "error" in output


@input_guardrail
def exits_on_input(context: RunContextWrapper[Any], agent: Agent[Any], data: Any) -> GuardrailFunctionOutput:
    sys.exit(3)


@output_guardrail
async def exits_on_output(context: RunContextWrapper[Any], agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
    sys.exit(3)


class ExitingHooks(AgentHooks[Any]):
    async def on_start(self, context: Any, agent: Any) -> None:
        raise Odd("hook")


def exits_for_instructions(context: RunContextWrapper[Any], agent: Agent[Any]) -> str:
    sys.exit(3)


def exits_for_the_agent() -> Agent[Any]:
    sys.exit(3)


@pytest.mark.parametrize(
    "agent",
    [
        Agent(name="test", input_guardrails=[exits_on_input]),
        Agent(name="test", output_guardrails=[exits_on_output]),
        Agent(name="test", hooks=ExitingHooks()),
        Agent(name="test", instructions=exits_for_instructions),
        exits_for_the_agent,
    ],
    ids=["input guardrail", "output guardrail", "hook", "instructions", "agent function"],
)
async def test_whatever_else_exits_fails_its_turn_only(
    start: Start, agent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    chat = await start(agent)
    chat.upstream.script(Answer("Hello."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        assert reply.error is not None
        assert reply.error["message"].startswith("The agent failed while answering.")
        assert "test_author_code.py" in caplog.text
        assert len((await tab.list())["data"]) == 1
        assert await chat.turns(reply.thread_id) == [("failed", None)]


async def test_an_action_handler_and_a_search_that_exit_answer_with_an_error(start: Start) -> None:
    actions = Actions()

    @actions.on("leave")
    async def leave() -> None:
        sys.exit(3)

    class Exiting(ChatServer):
        async def search_entities(self, query: str, context: RequestContext) -> Sequence[Entity]:
            raise Odd("search")

    chat = await start(Agent(name="test"), Exiting, actions)
    chat.upstream.script(Answer("Hello."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Go")).thread_id
        assert (await tab.action(thread_id, "leave")).error is not None
        params = {"thread_id": thread_id, "item_id": None, "action": {"type": "leave", "payload": {}}}
        response = await tab.post("threads.sync_custom_action", params)
        assert (response.status, response.body["code"]) == (500, "internal_error")
        async with tab.session.get(f"{chat.url}/api/entities") as found:
            assert (found.status, (await found.json())["code"]) == (500, "internal_error")
        assert len((await tab.list())["data"]) == 1


async def test_waiting_tools_delay_no_upload(start: Start) -> None:
    released = threading.Event()
    names: set[str] = set()
    loop = asyncio.get_running_loop()
    all_started = asyncio.Event()

    @function_tool
    def wait() -> str:
        """Waits."""
        names.add(threading.current_thread().name)
        if len(names) == 3:
            loop.call_soon_threadsafe(all_started.set)
        assert released.wait(30)
        return "done"

    chat = await start(Agent(name="test", tools=[wait]), tool_threads=3)
    chat.upstream.script(Answer(tool_calls=[ToolCall("wait") for _ in range(40)]), Answer("Done."))
    async with UploadClient.of(chat) as client:
        answering = asyncio.create_task(client.tab.create("Wait"))
        async with asyncio.timeout(10):
            await all_started.wait()
        assert (await client.upload(b"while they wait")).status == 200
        assert not answering.done()
        released.set()
        assert (await answering).text == "Done."
    assert len(names) == 3
    assert all(name.startswith("tool-") for name in names)


async def test_a_tool_that_blocks_the_event_loop_is_named(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    @function_tool
    async def crunch() -> str:
        """Blocks."""
        time.sleep(0.9)  # noqa: ASYNC251  this is the fault
        return "done"

    chat = await start(Agent(name="test", tools=[crunch]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("crunch")]), Answer("Done."))
    async with await chat.visitor() as tab:
        await tab.create("Go")
    async with asyncio.timeout(30):
        while "the event loop was blocked" not in caplog.text:  # noqa: ASYNC110 - an OS thread logs it
            await asyncio.sleep(0.05)
    assert "by the tool crunch: " in caplog.text
    assert "test_author_code.py" in caplog.text
