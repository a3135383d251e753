"""The numbers that the database keeps of a turn."""

from typing import Any

import pytest
from agents import Agent

from tests.support.openai_answers import SERVER_ERROR, Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.coming_back import asking, attaching, read_up_to
from tests.turns.conftest import Start


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_a_turn_records_the_providers_token_counts(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three four", rate=50))
    async with await chat.visitor() as tab:
        await tab.create("Count")
    query = "SELECT status, input_tokens, output_tokens, tokens_per_second, first_token_ms, duration_ms FROM turn_stats"
    ((status, into, out, per_second, first_token_ms, duration_ms),) = await chat.select(query)
    assert (status, out) == ("completed", 4)
    assert into > 0
    assert per_second > 0
    assert 0 <= first_token_ms <= duration_ms


async def test_a_turn_records_its_retries_and_readers(start: Start) -> None:
    chat = await start(model_retries=2)
    chat.upstream.script(Answer(fail=SERVER_ERROR), Answer(fail=SERVER_ERROR), Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            chat.upstream.release()
            await first.read()
    (numbers,) = await chat.select("SELECT model, status, retries, readers FROM turns")
    assert numbers == ("gpt-test", "completed", 2, 2)


async def test_a_reader_of_an_answer_that_ends_before_the_next_batch_is_counted(start: Start) -> None:
    chat = await start(journal_ms=10_000)
    chat.upstream.script(Answer("one two three"))
    async with await chat.visitor() as tab:
        await tab.create("Count")
    assert await chat.select("SELECT readers FROM turns") == [(1,)]


async def test_a_turn_records_the_model_that_answered(start: Start) -> None:
    """The agent's own model, and after a handoff that of the next agent."""
    clerk = Agent[Any](name="Clerk", model="gpt-clerk")
    chat = await start(Agent[Any](name="Desk", model="gpt-desk", handoffs=[clerk]))
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Hello."))
        thread_id = (await tab.create("Hi")).thread_id
        chat.upstream.script(Answer(tool_calls=[ToolCall("transfer_to_clerk")]), Answer("Here."))
        await tab.send(thread_id, "I want the clerk")
    assert [request.body["model"] for request in chat.upstream.requests] == ["gpt-desk", "gpt-desk", "gpt-clerk"]
    models = await chat.select("SELECT model FROM turns ORDER BY started_at")
    assert models == [("gpt-desk",), ("gpt-clerk",)]
