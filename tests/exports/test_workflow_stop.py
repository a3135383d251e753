"""What a stop ends in an exported workflow, and what the end of the function does."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from agents import Runner, function_tool

from tests.exports.inputs import inputs
from tests.exports.small import WorkflowInput, helper, tasks_of, two_runs
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat, thread_of
from tests.turns.conftest import Start

FOUND = Answer('{"topic": "tea"}')


async def stop_at(chat: Chat, words: str, thread_text: str = "Tea?") -> str:
    """Stop the answer at these words; return the thread's id."""
    async with await chat.visitor() as tab, await chat.ask(tab, thread_text) as stream:
        await stream.read_until(lambda frame: words in frame.data)
        await chat.upstream.wait_for_request()
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await stream.read_to_end()
        thread_id = thread_of(stream)
        picture = await tab.reload(thread_id)
        assert "loading" not in str(picture.items)
        assert await chat.turns(thread_id) == [("stopped", "user")]
        chat.upstream.script(FOUND, Answer("Later."))
        assert (await tab.send(thread_id, "Again")).error is None
        await tab.session.close()
        await chat.quiet()
    return thread_id


async def test_stop_keeps_the_partial_answer(start: Start) -> None:
    chat = await start(two_runs)
    chat.upstream.script(FOUND, Answer("one two three", hang_after=2))
    thread_id = await stop_at(chat, ' two"')
    assert (await chat.messages(thread_id))[:2] == [("user", "Tea?"), ("assistant", "one two")]
    assert inputs(chat.upstream)[2][:2] == [("user", "Tea?"), ("assistant", "one two")]


async def test_stop_in_a_step(start: Start) -> None:
    chat = await start(two_runs)
    chat.upstream.script(Answer('{"topic": "tea"}', hang_after=0))
    await stop_at(chat, "Topic finder")


async def test_stop_ends_tools_also_those_of_an_authors_context(start: Start) -> None:
    log: list[str] = []
    running = asyncio.Event()

    @function_tool
    async def book() -> str:
        """Books."""
        running.set()
        log.append("booking")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            log.append("rolled back")
        return "booked"

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        agent = helper(tools=[book])
        return await Runner.run(agent, workflow_input.input_as_text, context={"plan": "free"})

    chat = await start(run_workflow, show_tools=True)
    chat.upstream.script(Answer("Just a moment", tool_calls=[ToolCall("book")]), Answer("Booked."))
    async with await chat.visitor() as tab, await chat.ask(tab, "Book") as stream:
        await stream.read_until(lambda frame: '"Book"' in frame.data and "loading" in frame.data)
        async with asyncio.timeout(30):
            await running.wait()
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        assert log == ["booking", "rolled back"]
        await stream.read_to_end()
        assert tasks_of(await tab.reload(thread_of(stream))) == [("Book", "none")]


async def test_stop_ends_what_the_workflow_has_started_beside(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        forgotten = [asyncio.create_task(Runner.run(helper(name), "Hi")) for name in ("A", "B", "C")]
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # code that does not want to end
                return await Runner.run(helper(), str(len(forgotten)))

    chat = await start(run_workflow)
    chat.upstream.script(Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, await chat.ask(tab, "Go") as stream:
        await stream.read_until(lambda frame: '"delta":"one' in frame.data)
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await stream.read_to_end()
        await tab.session.close()
        await chat.quiet()
    assert len(chat.upstream.requests) == 1
    assert "await such tasks" not in caplog.text, "the user has ended them, not the author"


async def test_a_task_that_outlives_its_workflow_is_cancelled_with_a_warning(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    tasks: list[asyncio.Task[None]] = []
    seen: list[bool] = []
    returned = asyncio.Event()

    async def go_on() -> None:
        await Runner.run(helper("In time"), "Hi")
        await returned.wait()
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await Runner.run(helper("Late"), "Hi")
                seen.append(True)
        Runner.run_streamed(helper("Later"), "Hi")

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        tasks.append(asyncio.create_task(go_on()))
        return "Done."

    chat = await start(run_workflow)
    chat.upstream.script(Answer("Hello."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        assert (reply.error, reply.text) == (None, "Hello.Done.")
        returned.set()
        async with asyncio.timeout(30):
            await asyncio.wait(tasks)
        await tab.session.close()
        await chat.quiet()
    assert tasks[0].cancelled()
    assert (seen, len(chat.upstream.requests)) == ([], 1)
    warnings = [record.getMessage() for record in caplog.records if "await such tasks" in record.getMessage()]
    assert [name for text in warnings for name in ("Late", "Later") if f"{name!r}" in text] == ["Late", "Later"]
