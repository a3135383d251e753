"""A rename during an answer is kept, whatever the agent changes in the thread (T15)."""

import asyncio
import json

import pytest
from agents import Agent, RunContextWrapper, function_tool

from chatkit_server.agent_context import AgentContext
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat, thread_of
from tests.turns.conftest import Start


class Notes:
    """Return an agent whose tool waits and may then change the thread's metadata."""

    def __init__(self, writes: bool) -> None:
        self.running, self.release = asyncio.Event(), asyncio.Event()

        @function_tool
        async def take_note(context: RunContextWrapper[AgentContext]) -> str:
            """Takes a note."""
            self.running.set()
            await self.release.wait()
            if writes:
                context.context.thread.metadata["note"] = "taken"
            return "noted"

        self.agent = Agent(name="test", tools=[take_note])


async def title_and_metadata(chat: Chat, thread_id: str) -> tuple[str, object]:
    ((title, metadata),) = await chat.select("SELECT title, metadata FROM threads WHERE id = :id", id=thread_id)
    return title, json.loads(metadata) if isinstance(metadata, str) else metadata  # SQLite has no JSON type


@pytest.mark.parametrize("first_turn", [True, False], ids=["new thread", "known thread"])
@pytest.mark.parametrize("writes", [True, False], ids=["agent writes metadata", "agent writes nothing"])
async def test_a_rename_during_an_answer_is_kept(start: Start, first_turn: bool, writes: bool) -> None:
    notes = Notes(writes)
    chat = await start(notes.agent)
    async with await chat.visitor() as tab:
        existing_id = None if first_turn else (await tab.create("Hello")).thread_id
        chat.upstream.script(Answer(tool_calls=[ToolCall("take_note")]), Answer("Done."))
        async with await chat.ask(tab, "Take a note", existing_id) as stream:
            await stream.read_until(lambda frame: "stream_options" in frame.data)
            thread_id = existing_id or thread_of(stream)
            async with asyncio.timeout(30):
                await notes.running.wait()
            renamed = await tab.post("threads.update", {"thread_id": thread_id, "title": "My notes"})
            assert (renamed.status, renamed.body["title"]) == (200, "My notes")
            notes.release.set()
            await stream.read_to_end()
            updates = [event["thread"]["title"] for event in stream.events if event["type"] == "thread.updated"]
            assert updates == (["My notes"] if writes else [])
        assert await title_and_metadata(chat, thread_id) == ("My notes", {"note": "taken"} if writes else {})
        assert (await tab.get(thread_id))["title"] == "My notes"


async def test_a_title_that_the_agent_sets_is_sent_and_saved(start: Start) -> None:
    @function_tool
    async def name_it(context: RunContextWrapper[AgentContext]) -> str:
        """Names the thread."""
        context.context.thread.title = "A fine title"
        return "named"

    chat = await start(Agent(name="test", tools=[name_it]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("name_it")]), Answer("Done."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Name it")
        assert [event["thread"]["title"] for event in reply.of_type("thread.updated")] == ["A fine title"]
        assert (await tab.get(reply.thread_id))["title"] == "A fine title"
