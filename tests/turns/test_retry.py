"""Retry: the old answer is replaced only if there is a new one (T9)."""

import pytest
from agents import Agent

from chatkit_server import ask_user
from tests.support.chatkit import Reply
from tests.support.openai_answers import SERVER_ERROR, Answer, Reasoning, ToolCall
from tests.turns.chat import Chat, model_input, thread_of
from tests.turns.conftest import Start

OLD = [("user", "Count"), ("assistant", "old answer")]


async def old_answer(chat: Chat, tab_reply: Reply) -> tuple[str, str]:
    """Create a thread with one answer; return the ids of the thread and the user message."""
    assert await chat.messages(tab_reply.thread_id) == OLD
    return tab_reply.thread_id, tab_reply.user_item["id"]


async def replaced(chat: Chat, thread_id: str) -> list[tuple[str, bool]]:
    """Return the text of each row but notices, and whether it was replaced."""
    query = "SELECT text, replaced_by FROM thread_items WHERE thread_id = :id AND role <> 'notice' ORDER BY position"
    return [(words, turn is not None) for words, turn in await chat.select(query, id=thread_id)]


async def test_the_old_answer_is_hidden_but_readable_in_sql(chat: Chat) -> None:
    chat.upstream.script(Answer("old answer"), Answer("new answer"))
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        reply = await tab.retry(thread_id, item_id)
        assert reply.error is None
        rows = await chat.select(
            "SELECT text, replaced_by FROM thread_items WHERE thread_id = :id ORDER BY position", id=thread_id
        )
        assert rows == [
            ("Count", None),
            ("old answer", reply.headers["x-chatkit-turn-id"]),
            ("new answer", None),
        ]
        new = [("user", "Count"), ("assistant", "new answer")]
        assert await chat.messages(thread_id) == new
        assert (await tab.reload(thread_id)).texts() == tab.pictures[thread_id].texts() == new
        assert model_input(chat.upstream.requests[1]) == [("user", "Count")]


async def test_everything_after_the_message_is_replaced(chat: Chat) -> None:
    chat.upstream.script(Answer("old answer"), Answer("second answer"), Answer("new answer"))
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        await tab.send(thread_id, "And more")
        await tab.retry(thread_id, item_id)
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "new answer")]
        assert (await tab.reload(thread_id)).texts() == tab.pictures[thread_id].texts()


@pytest.mark.parametrize(
    "failure", [Answer(fail=SERVER_ERROR), Answer("never", error_after=0)], ids=["status", "event"]
)
async def test_a_retry_that_fails_before_any_output_restores_the_old_answer(chat: Chat, failure: Answer) -> None:
    chat.upstream.script(Answer("old answer"), Answer("second answer"), failure)
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        await tab.send(thread_id, "And more")
        before = await chat.messages(thread_id)
        reply = await tab.retry(thread_id, item_id)
        assert reply.error is not None
        assert reply.error["allow_retry"]
        assert await chat.messages(thread_id) == before
        assert not any(gone for _, gone in await replaced(chat, thread_id))
        # The widget itself removed the old answer; it comes back without a reload.
        assert tab.pictures[thread_id].texts() == before
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert (await chat.turns(thread_id))[-1] == ("failed", None)


async def test_a_retry_that_fails_after_output_keeps_its_partial_answer(chat: Chat) -> None:
    chat.upstream.script(Answer("old answer"), Answer("one two three", error_after=2))
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        reply = await tab.retry(thread_id, item_id)
        assert reply.error is not None
        assert await replaced(chat, thread_id) == [("Count", False), ("old answer", True), ("one two", False)]
        assert (await tab.reload(thread_id)).texts() == [("user", "Count"), ("assistant", "one two")]
        assert tab.pictures[thread_id].texts() == [("user", "Count"), ("assistant", "one two")]


async def test_a_retry_replaces_a_running_answer(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2), Answer("new answer"))
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        thread_id = thread_of(stream)
        (item_id,) = [e["item"]["id"] for e in stream.events if e.get("item", {}).get("type") == "user_message"]
        reply = await tab.retry(thread_id, item_id)
        assert reply.text == "new answer"
        await stream.read_to_end()
        assert stream.ended
        assert await replaced(chat, thread_id) == [("Count", False), ("one two", True), ("new answer", False)]
        assert await chat.turns(thread_id) == [("stopped", "superseded"), ("completed", None)]
        assert model_input(chat.upstream.requests[1]) == [("user", "Count")]


@pytest.mark.parametrize("stop", [True, False], ids=["stopped", "left"])
async def test_a_retry_that_is_ended_before_any_output_restores_the_old_answer(chat: Chat, stop: bool) -> None:
    chat.upstream.script(Answer("old answer"), Answer("never", hang_after=0))
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        params = {"thread_id": thread_id, "item_id": item_id}
        async with await chat.post(tab, "threads.retry_after_item", params) as stream:
            await stream.read_until(lambda frame: "stream_options" in frame.data)
            await (await chat.upstream.wait_for_request(2)).wait_hanging()
            assert await chat.messages(thread_id) == [("user", "Count")]
            if stop:
                await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await tab.session.close()
        await chat.quiet()
    # Without a stop note: it would say that the old answer was stopped.
    assert await replaced(chat, thread_id) == [("Count", False), ("old answer", False)]


async def test_a_second_retry_that_fails_restores_the_latest_answer_only(chat: Chat) -> None:
    chat.upstream.script(Answer("old answer"), Answer("new answer"), Answer(fail=SERVER_ERROR))
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        await tab.retry(thread_id, item_id)
        await tab.retry(thread_id, item_id)
        assert await replaced(chat, thread_id) == [("Count", False), ("old answer", True), ("new answer", False)]
        assert tab.pictures[thread_id].texts() == [("user", "Count"), ("assistant", "new answer")]


@pytest.mark.parametrize("error_after", [1, 2], ids=["while it thinks", "when it begins to speak"])
async def test_a_failed_retry_with_only_thoughts_restores_the_old_answer(chat: Chat, error_after: int) -> None:
    thinking = Answer("never said", reasoning=Reasoning(summary=("Thinking hard",)), error_after=error_after)
    chat.upstream.script(Answer("old answer"), thinking)
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        reply = await tab.retry(thread_id, item_id)
        assert reply.error is not None
        assert "workflow" in [event["item"]["type"] for event in reply.of_type("thread.item.added")]
        assert await replaced(chat, thread_id) == [("Count", False), ("old answer", False)]
        assert await chat.items(thread_id) == ["user_message", "assistant_message"]
        # Even without a reload the thoughts are gone, each removed once, and the old answer is shown.
        assert tab.pictures[thread_id].texts() == OLD
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        removed = [event["item_id"] for event in reply.of_type("thread.item.removed")]
        assert sorted(removed) == sorted({event["item"]["id"] for event in reply.of_type("thread.item.added")})
        assert (await chat.turns(thread_id))[-1] == ("failed", None)


@pytest.mark.parametrize("stop", [True, False], ids=["stopped", "left"])
async def test_a_retry_that_is_ended_while_it_thinks_restores_the_old_answer(chat: Chat, stop: bool) -> None:
    thinking = Answer("never said", reasoning=Reasoning(summary=("Thinking very hard",)), hang_after=2)
    chat.upstream.script(Answer("old answer"), thinking)
    async with await chat.visitor() as tab:
        thread_id, item_id = await old_answer(chat, await tab.create("Count"))
        params = {"thread_id": thread_id, "item_id": item_id}
        async with await chat.post(tab, "threads.retry_after_item", params) as stream:
            await stream.read_until(lambda frame: "Thinking" in frame.data)
            if stop:
                await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await tab.session.close()
        await chat.quiet()
    assert await replaced(chat, thread_id) == [("Count", False), ("old answer", False)]
    assert await chat.items(thread_id) == ["user_message", "assistant_message"]


async def test_replaced_items_can_be_neither_retried_nor_answered(start: Start) -> None:
    """An old tab still shows it."""
    chat = await start(Agent(name="Asker", tools=[ask_user]))
    question = {"question": "Which size?", "options": ["S", "L"], "multiple": False}
    chat.upstream.script(
        Answer("one"), Answer(tool_calls=[ToolCall("ask_user", {"questions": [question]})]), Answer("one again")
    )
    async with await chat.visitor() as tab:
        first = await tab.create("Count")
        thread_id = first.thread_id
        second = await tab.send(thread_id, "And more")
        (old_question,) = tab.pictures[thread_id].of_type("structured_input")
        assert (await tab.retry(thread_id, first.user_item["id"])).text == "one again"
        answers = {"thread_id": thread_id, "item_id": old_question["id"], "input": {"status": "skipped"}}
        for reply in (
            await tab.retry(thread_id, second.user_item["id"]),
            await tab.post("threads.add_structured_input", answers),
        ):
            assert reply.error is not None
            assert "replaced by a newer one" in reply.error["message"]
        assert (await tab.reload(thread_id)).texts() == [("user", "Count"), ("assistant", "one again")]
    assert len(chat.upstream.requests) == 3
