"""A model, tool or turn that takes too long ends with a clear error and Retry. Text received so far is kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from agents import Agent, function_tool
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkit_server import ChatServer, RequestContext
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.coming_back import SlowTool, within
from tests.turns.conftest import Start

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LONG = 60.0
SHORT = 0.2
TRIES = 10
"""A busy machine may exceed a short limit as well: what is to be seen is seen in one of these."""
both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])


async def check_failed(chat: Chat, reply: Reply, code: str, words: str) -> None:
    """Check that the stream ends with the error and Retry, and that the turn has its code."""
    assert reply.types[-1] == "error"
    assert reply.error is not None
    assert reply.error["allow_retry"]
    assert words in reply.error["message"]
    rows = await chat.select("SELECT status, error_code FROM turns WHERE thread_id = :id", id=reply.thread_id)
    assert rows == [("failed", code)]


@both_apis
@pytest.mark.parametrize("silent", [Answer("never", delay=60), Answer("never", hang_after=0)], ids=["no head", "hangs"])
async def test_a_model_that_sends_no_event_times_out(start: Start, silent: Answer) -> None:
    chat = await start(first_event_seconds=SHORT, silence_seconds=LONG if silent.delay else SHORT, tool_seconds=LONG)
    chat.upstream.script(silent, Answer("Here I am."))
    async with await chat.visitor() as tab:
        async with asyncio.timeout(30):
            reply = await tab.create("Count")
        await check_failed(chat, reply, "model_timeout", "model")
        await chat.upstream.requests[0].wait_closed()
        assert await chat.messages(reply.thread_id) == [("user", "Count")]
        server = chat.services.server
        server.deadlines = replace(server.deadlines, first_event=LONG)  # the machine may be slow
        retried = await tab.retry(reply.thread_id, reply.user_item["id"])
        assert retried.error is None
        assert retried.text == "Here I am."


@both_apis
async def test_a_model_that_falls_silent_times_out(start: Start) -> None:
    chat = await start(first_event_seconds=LONG, silence_seconds=SHORT, tool_seconds=LONG)
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        async with asyncio.timeout(30):
            reply = await tab.create("Count")
        await check_failed(chat, reply, "model_timeout", "model")
        await chat.upstream.requests[0].wait_closed()
        assert await chat.messages(reply.thread_id) == [("user", "Count"), ("assistant", "one two")]
        assert reply.picture.items == (await tab.reload(reply.thread_id)).items
        await tab.session.close()
        await chat.quiet()


async def test_a_slow_model_does_not_time_out(start: Start) -> None:
    chat = await start(first_event_seconds=SHORT * 2, silence_seconds=SHORT * 2, tool_seconds=SHORT * 2)
    chat.upstream.default = Answer("a b c d e f g h", rate=10)
    async with await chat.visitor() as tab:
        for _ in range(TRIES):
            reply = await tab.create("Count")
            if reply.error is None:
                break
        assert (reply.error, reply.text) == (None, "a b c d e f g h")


@both_apis
async def test_a_running_tool_does_not_count_as_silence(start: Start) -> None:
    @function_tool
    async def look_up() -> str:
        """Takes longer than a model may be silent."""
        await asyncio.sleep(SHORT * 3)
        return "found"

    chat = await start(
        Agent(name="test", tools=[look_up]), first_event_seconds=LONG, silence_seconds=SHORT, tool_seconds=LONG
    )
    async with await chat.visitor() as tab:
        for _ in range(TRIES):
            chat.upstream.script(Answer(tool_calls=[ToolCall("look_up")]))
            chat.upstream.default = Answer("Found.")
            reply = await tab.create("Look")
            if reply.error is None:
                break
        assert (reply.error, reply.text) == (None, "Found.")


@both_apis
async def test_a_model_that_falls_silent_after_a_tool_times_out(start: Start) -> None:
    tool = SlowTool()
    tool.release.set()
    chat = await start(tool.agent, first_event_seconds=LONG, silence_seconds=SHORT, tool_seconds=LONG)
    chat.upstream.script(Answer(tool_calls=[ToolCall("look_up")]), Answer("never", delay=60))
    async with await chat.visitor() as tab:
        async with asyncio.timeout(30):
            reply = await tab.create("Look")
        await check_failed(chat, reply, "model_timeout", "model")


@both_apis
async def test_a_tool_has_its_own_time_limit(start: Start) -> None:
    tool = SlowTool()
    chat = await start(tool.agent, first_event_seconds=LONG, silence_seconds=LONG, tool_seconds=SHORT)
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("Found."))
    async with await chat.visitor() as tab:
        async with asyncio.timeout(30):
            reply = await tab.create("Look")
        await check_failed(chat, reply, "tool_timeout", "tools took too long")
        await within(tool.cancelled)
        assert await chat.messages(reply.thread_id) == [("user", "Look"), ("assistant", "Let me see.")]
        assert len(chat.upstream.requests) == 1


async def test_a_tool_that_ignores_cancellation_does_not_delay_the_error(start: Start) -> None:
    release = asyncio.Event()

    @function_tool
    async def look_up() -> str:
        """Swallows its cancellation."""
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "found"

    chat = await start(Agent(name="test", tools=[look_up]), tool_seconds=SHORT, stop_seconds=SHORT)
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("Found."))
    try:
        async with await chat.visitor() as tab:
            async with asyncio.timeout(30):
                reply = await tab.create("Look")
            await check_failed(chat, reply, "tool_timeout", "tools took too long")
    finally:
        release.set()
    await chat.quiet()
    assert len(chat.upstream.requests) == 1


async def cut_answer(chat: Chat, tab: Tab) -> Reply:
    """Return the reply of a turn that took too long, once one has begun in time."""
    for _ in range(TRIES):
        async with asyncio.timeout(30):
            reply = await tab.create("Count")
        await check_failed(chat, reply, "turn_timeout", "took too long")
        if reply.picture.of_type("assistant_message"):
            break
    return reply


async def test_a_turn_that_takes_too_long_times_out(start: Start) -> None:
    chat = await start(turn_seconds=0.5)
    chat.upstream.default = Answer("one two three", hang_after=2)
    async with await chat.visitor() as tab:
        reply = await cut_answer(chat, tab)
        await chat.upstream.requests[-1].wait_closed()
        assert await chat.messages(reply.thread_id) == [("user", "Count"), ("assistant", "one two")]
        assert await chat.items(reply.thread_id) == ["user_message", "assistant_message"]
        await tab.session.close()
        await chat.quiet()


class Forever(ChatServer):
    """Responds without a model, and raises when it is cancelled."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        item = AssistantMessageItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text="first")],
        )
        yield ThreadItemAddedEvent(item=item)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("could not clean up") from None


async def test_a_turn_of_a_subclass_has_the_time_limit_too(start: Start) -> None:
    chat = await start(server=Forever, turn_seconds=SHORT)
    async with await chat.visitor() as tab:
        reply = await cut_answer(chat, tab)
        assert await chat.messages(reply.thread_id) == [("user", "Count"), ("assistant", "first")]
