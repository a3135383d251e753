"""The database is busy when the client leaves: the partial answer is saved as soon as possible."""

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest
from agents import Agent, RunContextWrapper, function_tool
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadItemDoneEvent

from chatkit_server.agent_context import AgentContext
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat, all_tasks, busy_database, thread_of
from tests.turns.conftest import Start


@pytest.fixture
def start(start: Start) -> Start:
    """Start the app with a journal that writes nothing here: `busy_database` takes its connection for a turn's."""
    return partial(start, journal_ms=10_000)


async def within(event: asyncio.Event, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


async def response_ended() -> None:
    """Wait until every response has ended, so that each departure was noticed."""
    responses = [task for task in all_tasks() if "run_asgi" in str(task.get_coro())]
    assert responses
    _, pending = await asyncio.wait(responses, timeout=30)
    assert not pending


async def test_a_disconnected_clients_answer_is_saved_once_the_database_is_free(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        async with busy_database(chat) as write:
            stream.close()
            await chat.upstream.requests[0].wait_closed()
            await within(write)
    await chat.quiet()
    assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two")]
    assert await chat.turns(thread_of(stream)) == [("stopped", "disconnected")]


@pytest.mark.parametrize("stop_seconds", [10, 0.2], ids=["in time", "too late"])
async def test_a_client_that_leaves_during_the_save_loses_nothing(start: Start, stop_seconds: float) -> None:
    chat = await start(stop_seconds=stop_seconds, fast_path=False)  # else the answer is saved with the turn's end
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        thread_id = thread_of(stream)
        async with busy_database(chat) as write:
            chat.upstream.release()
            await within(write)
            stream.close()
            await response_ended()
            (turn,) = chat.services.turns._local._running.values()
            assert turn.stop_reason == "disconnected"
            if stop_seconds < 1:  # the turn ends while the first write still waits
                async with asyncio.timeout(30):
                    await asyncio.shield(turn._work_over)
    await chat.quiet()
    assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two three")]
    assert await chat.items(thread_id) == ["user_message", "assistant_message"]
    assert await chat.turns(thread_id) == [("stopped", "disconnected")]


async def test_a_client_that_leaves_during_the_last_save_leaves_a_completed_turn(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        async with busy_database(chat) as write:
            chat.upstream.release()
            await within(write)
            stream.close()
            await response_ended()
    await chat.quiet()
    assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two three")]
    assert await chat.turns(thread_of(stream)) == [("completed", None)]


async def test_stop_responds_once_the_busy_database_has_saved_the_answer(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        async with busy_database(chat) as write:
            stopping = asyncio.create_task(chat.stop(tab, stream.headers["x-chatkit-turn-id"]))
            await chat.upstream.requests[0].wait_closed()
            await within(write)
            assert not stopping.done()
        status, body = await stopping
        assert (status, body["status"]) == (200, "stopped")
        assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two")]


async def test_items_saved_during_a_stop_are_sent(start: Start) -> None:
    go, never = asyncio.Event(), asyncio.Event()

    @function_tool
    async def say(context: RunContextWrapper[AgentContext]) -> None:
        """Respond at once, without streaming."""
        await go.wait()
        item = AssistantMessageItem(
            id=context.context.generate_id("message"),
            thread_id=context.context.thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text="said at once")],
        )
        await context.context.stream(ThreadItemDoneEvent(item=item))
        await never.wait()

    chat = await start(Agent(name="test", tools=[say]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("say")]))
    async with await chat.visitor() as tab, await chat.ask(tab, "Speak") as stream:
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        await (await chat.upstream.wait_for_request()).wait_closed()
        async with busy_database(chat) as write:
            go.set()
            await within(write)
            stopping = asyncio.create_task(chat.stop(tab, stream.headers["x-chatkit-turn-id"]))
            async with asyncio.timeout(30):
                (turn,) = chat.services.turns._local._running.values()
                while turn.stop_reason is None:
                    await asyncio.wait([stopping], timeout=0.01)
        await stopping
        await stream.read_to_end()
        assert await chat.messages(thread_of(stream)) == [("user", "Speak"), ("assistant", "said at once")]
        assert "said at once" in str(stream.events[-1])


async def test_a_message_being_saved_at_shutdown_starts_no_model_call(chat: Chat) -> None:
    async with await chat.visitor() as tab:
        async with busy_database(chat) as write:
            stream = await chat.ask(tab, "Count")
            await within(write)
            chat.services.turns.shutdown.interrupt()
        await stream.read_to_end()
        assert stream.ended
        stream.close()
    assert chat.upstream.requests == []
    assert await chat.messages(thread_of(stream)) == [("user", "Count")]
    assert await chat.turns(thread_of(stream)) == [("interrupted", "shutdown")]
