"""The client leaves while a tool runs: the tool is cancelled, or the turn does not wait for it (T3)."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from agents import Agent, RunContextWrapper, function_tool
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    CustomTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    Workflow,
)

from chatkit_server import ChatServer, RequestContext
from chatkit_server.agent_context import AgentContext
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat, thread_of
from tests.turns.conftest import Start

STOP_SECONDS = 0.3


async def within(event: asyncio.Event, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


async def leave_while_the_tool_runs(chat: Chat, running: asyncio.Event) -> str:
    """Send a message, wait for the tool to run, close the socket; return the thread's id."""
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Look it up")
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        await within(running)
        stream.close()
    return thread_of(stream)


async def test_a_cancelled_tool_has_no_effect(start: Start) -> None:
    running, release, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
    effects: list[str] = []

    @function_tool
    async def look_up() -> str:
        """Looks it up."""
        running.set()
        try:
            await release.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        effects.append("looked up")
        return "found"

    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("Found."))
    thread_id = await leave_while_the_tool_runs(chat, running)
    await within(cancelled)
    await chat.quiet()
    release.set()
    assert effects == []
    assert len(chat.upstream.requests) == 1
    assert await chat.messages(thread_id) == [("user", "Look it up"), ("assistant", "Let me see.")]
    assert await chat.turns(thread_id) == [("stopped", "disconnected")]


async def test_the_answer_does_not_wait_for_a_tool_in_a_thread(start: Start) -> None:
    running, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @function_tool
    def look_up() -> str:
        """Looks it up, and knows no cancellation."""
        loop.call_soon_threadsafe(running.set)
        release.wait(60)
        return "found"

    chat = await start(Agent(name="test", tools=[look_up]), stop_seconds=STOP_SECONDS)
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("Found."))
    try:
        thread_id = await leave_while_the_tool_runs(chat, running)
        await chat.ended(thread_id)
        assert await chat.turns(thread_id) == [("stopped", "disconnected")]
    finally:
        release.set()
    await chat.quiet()
    assert len(chat.upstream.requests) == 1
    assert await chat.items(thread_id) == ["user_message", "assistant_message"]


async def test_output_of_a_tool_after_the_turns_end_is_ignored(start: Start) -> None:
    running, refused, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @function_tool
    async def look_up(context: RunContextWrapper[AgentContext]) -> str:
        """Looks it up, and swallows its cancellation."""
        await context.context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="Looking")]))
        running.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                refused.set()
        await context.context.add_workflow_task(CustomTask(title="Too late"))
        await context.context.end_workflow()
        return "found"

    chat = await start(Agent(name="test", tools=[look_up]), stop_seconds=STOP_SECONDS)
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("Found."))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Look it up")
        await stream.read_until(lambda frame: "Looking" in frame.data)
        stream.close()
        thread_id = thread_of(stream)
        await within(refused)
        await chat.ended(thread_id)
        before = await chat.select("SELECT id, payload FROM thread_items WHERE thread_id = :id", id=thread_id)
        assert await chat.items(thread_id) == ["user_message", "assistant_message", "workflow"]
        release.set()
        await chat.quiet()
        after = await chat.select("SELECT id, payload FROM thread_items WHERE thread_id = :id", id=thread_id)
    assert after == before
    assert "Too late" not in str(after)
    assert len(chat.upstream.requests) == 1


class Stubborn(ChatServer):
    """A server whose `respond` ignores its cancellation."""

    running: asyncio.Event
    release: asyncio.Event

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        for words in ("first", "second"):
            item = AssistantMessageItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=datetime.now(UTC),
                content=[AssistantMessageContent(text=words)],
            )
            yield ThreadItemAddedEvent(item=item)
            self.running.set()
            while not self.release.is_set():
                try:
                    await self.release.wait()
                except asyncio.CancelledError:
                    continue
            yield ThreadItemDoneEvent(item=item.model_copy(update={"content": [AssistantMessageContent(text="late")]}))
            thread.title = "Too late"


async def test_events_of_an_agent_after_the_turns_end_are_ignored(start: Start) -> None:
    chat = await start(server=Stubborn, stop_seconds=STOP_SECONDS)
    server = chat.services.server
    assert isinstance(server, Stubborn)
    server.running, server.release = asyncio.Event(), asyncio.Event()
    thread_id = await leave_while_the_tool_runs(chat, server.running)
    await chat.ended(thread_id)
    assert await chat.turns(thread_id) == [("stopped", "disconnected")]
    server.release.set()
    await chat.quiet()
    assert await chat.messages(thread_id) == [("user", "Look it up"), ("assistant", "first")]
    assert await chat.select("SELECT title FROM threads WHERE id = :id", id=thread_id) == [("Look it up",)]
