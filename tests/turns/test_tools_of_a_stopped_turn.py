"""Stop responds after the turn's tools have cleaned up: nothing of a stopped turn runs after its end (T3)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from agents import Agent, FunctionTool, RunContextWrapper, Runner, function_tool
from agents.testing import ScriptedModel, function_call

from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.conftest import Start

CLEAN_UP = 0.4
Log = list[str]


def slow_to_stop(
    log: Log, running: asyncio.Event, timeout: float | None = None, may_end: asyncio.Event | None = None
) -> FunctionTool:
    """A tool that needs time to clean up, or until an event."""

    @function_tool(timeout=timeout)
    async def book() -> str:
        """Books."""
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            await (asyncio.sleep(CLEAN_UP) if may_end is None else may_end.wait())
            log.append("rolled back")
        return "booked"

    return book


def plain(log: Log, running: asyncio.Event) -> Agent[Any]:
    return Agent(name="plain", tools=[slow_to_stop(log, running)])


def with_timeout(log: Log, running: asyncio.Event) -> Agent[Any]:
    return Agent(name="with timeout", tools=[slow_to_stop(log, running, timeout=20)])


def nested(log: Log, running: asyncio.Event) -> Agent[Any]:
    inner = Agent[Any](name="inner", tools=[slow_to_stop(log, running)])
    return Agent(name="nested", tools=[inner.as_tool("delegate", "Asks another agent.")])


def running_another(log: Log, running: asyncio.Event) -> Agent[Any]:
    model = ScriptedModel([[function_call("book", {}, call_id="call-1")]])
    inner = Agent[Any](name="inner", model=model, tools=[slow_to_stop(log, running)])

    @function_tool
    async def delegate(ctx: RunContextWrapper[Any], input: str) -> str:
        """Asks another agent, as authors write it."""
        return str((await Runner.run(inner, input, context=ctx.context)).final_output)

    return Agent(name="running another", tools=[delegate])


def own_context() -> dict[str, str]:
    return {"plan": "gold"}


async def stop(chat: Chat, running: asyncio.Event) -> tuple[int, Any]:
    async with await chat.visitor() as tab, await chat.ask(tab, "Book it") as stream:
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        async with asyncio.timeout(30):
            await running.wait()
        return await chat.stop(tab, stream.headers["x-chatkit-turn-id"])


@pytest.mark.parametrize(
    ("make", "context"),
    [(plain, None), (with_timeout, None), (nested, None), (nested, own_context), (running_another, own_context)],
)
async def test_stop_responds_after_the_tool_has_cleaned_up(
    start: Start, make: Callable[[Log, asyncio.Event], Agent[Any]], context: Callable[[], Any] | None
) -> None:
    log: Log = []
    running = asyncio.Event()
    chat = await start(make(log, running), context=context)
    if make in (nested, running_another):
        chat.upstream.script(Answer(tool_calls=[ToolCall("delegate", {"input": "x"})]))
    if make is not running_another:
        chat.upstream.script(Answer(tool_calls=[ToolCall("book")]))
    status, body = await stop(chat, running)
    assert (status, body["status"], log) == (200, "stopped", ["rolled back"])
    await chat.quiet()


async def test_stop_waits_for_two_concurrent_tools(start: Start) -> None:
    log: Log = []
    running = asyncio.Event()
    chat = await start(plain(log, running))
    chat.upstream.script(Answer(tool_calls=[ToolCall("book"), ToolCall("book")]))
    await stop(chat, running)
    assert log == ["rolled back", "rolled back"]
    await chat.quiet()


async def test_stop_does_not_wait_for_a_slow_clean_up(start: Start) -> None:
    log: Log = []
    running = asyncio.Event()
    may_end = asyncio.Event()
    chat = await start(Agent(name="plain", tools=[slow_to_stop(log, running, may_end=may_end)]), stop_seconds=0.1)
    chat.upstream.script(Answer(tool_calls=[ToolCall("book")]))
    status, body = await stop(chat, running)
    assert (status, body["status"], log) == (200, "stopped", [])
    may_end.set()
    await chat.quiet()
    assert log == ["rolled back"]


async def test_a_background_task_of_a_tool_is_neither_cancelled_nor_awaited(start: Start) -> None:
    running, release, tasks = asyncio.Event(), asyncio.Event(), set[asyncio.Task[Any]]()

    @function_tool
    async def book() -> str:
        """Books, and continues in the background."""
        tasks.add(asyncio.create_task(release.wait()))
        running.set()
        await asyncio.sleep(60)
        return "booked"

    chat = await start(Agent(name="test", tools=[book]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("book")]))
    async with asyncio.timeout(30):
        status, _ = await stop(chat, running)
    assert (status, [task.done() for task in tasks]) == (200, [False])
    release.set()
    await chat.quiet()
