"""One turn runs per thread; a second message replaces it (T16)."""

import asyncio
from itertools import pairwise

from agents import Agent, function_tool

from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import ModelRequest
from tests.turns.chat import Chat, model_input, thread_of
from tests.turns.conftest import Start


async def test_a_second_message_stops_the_first_answer_and_keeps_it(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2), Answer("red green"))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as first:
        await first.read_until(lambda frame: ' two"' in frame.data)
        thread_id = thread_of(first)
        second = await tab.send(thread_id, "Name colours")
        assert second.text == "red green"
        await first.read_to_end()
        assert first.ended
        assert first.events[-1]["type"] == "thread.item.done"
        assert chat.upstream.requests[0].client_gone
        assert await chat.messages(thread_id) == [
            ("user", "Count"),
            ("assistant", "one two"),
            ("user", "Name colours"),
            ("assistant", "red green"),
        ]
        assert await chat.items(thread_id) == ["user_message", "assistant_message"] * 2
        assert await chat.turns(thread_id) == [("stopped", "superseded"), ("completed", None)]
        assert model_input(chat.upstream.requests[1])[-2:] == [("assistant", "one two"), ("user", "Name colours")]
        assert (await tab.reload(thread_id)).texts() == await chat.messages(thread_id)


async def test_of_ten_concurrent_messages_all_are_kept_and_one_is_answered(start: Start) -> None:
    running: set[int] = set()
    at_once: list[int] = []
    numbers = iter(range(100))

    @function_tool
    async def work() -> str:
        """Count the concurrent calls."""
        me = next(numbers)
        running.add(me)
        at_once.append(len(running))
        try:
            await asyncio.sleep(0)
        finally:
            running.discard(me)
        return "done"

    def answer(request: ModelRequest) -> Answer:
        if model_input(request)[-1][1] == "Begin":
            return Answer("begun")
        has_worked = request.body["input"][-1].get("type") == "function_call_output"
        return Answer(f"to {model_input(request)[-1][1]}") if has_worked else Answer(tool_calls=[ToolCall("work")])

    chat = await start(Agent(name="test", tools=[work]))
    chat.upstream.default = answer
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Begin")).thread_id
        replies = await asyncio.gather(*(tab.send(thread_id, f"message {n}") for n in range(10)))
        await tab.session.close()
    await chat.quiet()
    assert all(reply.status == 200 and reply.error is None for reply in replies)
    messages = (await chat.messages(thread_id))[2:]
    questions = [words for role, words in messages if role == "user"]
    assert sorted(questions) == [f"message {n}" for n in range(10)]
    for (role, words), (next_role, answer_words) in pairwise(messages):
        if next_role == "assistant":
            assert (role, answer_words) == ("user", f"to {words}")
    assert messages[-1] == ("assistant", f"to {questions[-1]}")
    assert at_once
    assert max(at_once) == 1

    turns = await chat.turns(thread_id)
    assert len(turns) == 11
    assert turns[-1] == ("completed", None)
    assert set(turns) <= {("completed", None), ("stopped", "superseded")}
    overlaps = await chat.select(
        "SELECT a.id FROM turns a JOIN turns b ON a.thread_id = b.thread_id AND a.started_at < b.started_at "
        "AND a.ended_at > b.started_at WHERE a.thread_id = :id",
        id=thread_id,
    )
    assert overlaps == []
    turn_of_items = await chat.select(
        "SELECT turn_id FROM thread_items WHERE thread_id = :id ORDER BY position", id=thread_id
    )
    switches = [turn for turn, following in pairwise(turn_of_items) if turn != following]
    assert len(switches) == len(set(switches)) == 10, "items of two turns are mixed"


async def test_different_threads_run_concurrently(chat: Chat) -> None:
    chat.upstream.default = Answer("one two three", hang_after=2)
    async with (
        await chat.visitor() as tab,
        await chat.ask(tab, "First") as first,
        await chat.ask(tab, "Second") as other,
    ):
        for stream in (first, other):
            await stream.read_until(lambda frame: ' two"' in frame.data)
        assert await chat.turns(thread_of(first)) == await chat.turns(thread_of(other)) == [("running", None)]
        chat.upstream.release()
        for stream in (first, other):
            await stream.read_to_end()
            assert await chat.turns(thread_of(stream)) == [("completed", None)]
