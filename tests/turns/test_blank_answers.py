"""A message of whitespace is not an answer: it is removed, not saved, and not replayed to the model."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent, function_tool
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkit_server import ChatServer, RequestContext
from chatkit_server.models.fit_messages import NO_ANSWER
from chatkit_store import new_id
from tests.interactions.cards import both_databases
from tests.stage import make_item
from tests.support.openai_answers import Answer, Reasoning, Text, ToolCall
from tests.turns.chat import model_input
from tests.turns.coming_back import asking
from tests.turns.conftest import Start
from tests.turns.test_titles import is_title


@function_tool
def look_up() -> str:
    """Looks something up."""
    return "42"


@both_databases
async def test_a_blank_answer_is_removed_and_not_replayed_to_the_model(start: Start) -> None:
    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(
        Answer(Text("\n"), reasoning=Reasoning(["Hm."]), tool_calls=[ToolCall("look_up")]),
        Answer(Text("  "), reasoning=Reasoning(["Well."])),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Look it up")
        assert reply.error is None
        assert reply.types.count("thread.item.removed") == 2
        assert reply.picture.texts() == [("user", "Look it up")]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        assert "assistant_message" not in await chat.items(reply.thread_id)
        assert await chat.turns(reply.thread_id) == [("completed", None)]

        chat.upstream.script(Answer("Yes."))
        assert (await tab.send(reply.thread_id, "And?")).text == "Yes."
    request = chat.upstream.requests[-1]
    assert model_input(request) == [("user", "Look it up"), ("assistant", NO_ANSWER), ("user", "And?")]
    kinds = [item.get("type") for item in request.body["input"]]
    calls = ["function_call", "function_call_output"]
    assert kinds == ["message", *calls, "message", "message"], "reasoning needs its successor"


@both_databases
async def test_a_row_that_reserved_the_position_of_a_blank_message_is_deleted(start: Start) -> None:
    """An item that is done saves the open items before it as they are, which reserves their positions."""

    class Blank(ChatServer):
        async def respond(
            self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
        ) -> AsyncIterator[ThreadStreamEvent]:
            empty = [{"type": "output_text", "text": "", "annotations": []}]
            blank = make_item("assistant_message", thread, new_id("msg"), content=empty)
            yield ThreadItemAddedEvent(item=blank)
            delta = AssistantMessageContentPartTextDelta(content_index=0, delta=" ")
            yield ThreadItemUpdatedEvent(item_id=blank.id, update=delta)
            yield ThreadItemDoneEvent(item=make_item("widget", thread, new_id("msg")))
            text = [{**empty[0], "text": " \n\t"}]
            yield ThreadItemDoneEvent(item=make_item("assistant_message", thread, blank.id, content=text))

    chat = await start(server=Blank)
    async with await chat.visitor() as tab:
        reply = await tab.create("Show it")
        assert reply.error is None
        assert [item["type"] for item in reply.picture.items] == ["user_message", "widget"]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        assert await chat.items(reply.thread_id) == ["user_message", "widget"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_leading_whitespace_of_an_answer_is_kept(start: Start) -> None:
    chat = await start(Agent[Any](name="test"))
    chat.upstream.script(Answer(Text("\n  Yes. ")))
    async with await chat.visitor() as tab:
        reply = await tab.create("Hello")
        assert reply.text == "\n  Yes. "
        assert (await tab.reload(reply.thread_id)).texts() == [("user", "Hello"), ("assistant", "\n  Yes. ")]


@both_databases
@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("words", ["", " \n"])
async def test_an_empty_answer_is_a_failure_that_may_be_retried(start: Start, words: str, api: str) -> None:
    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(Answer("old answer"), Answer(Text(words)), Answer(Text(words)), Answer("new answer"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Hello")
        thread_id, item_id = reply.thread_id, reply.user_item["id"]
        retried = await tab.retry(thread_id, item_id)
        second = await tab.send(thread_id, "Hello?")
        for empty in (retried, second):
            assert empty.error is not None
            assert empty.error["message"].startswith("The model gave no answer.")
            assert empty.error["allow_retry"] is True
        expected = [("user", "Hello"), ("assistant", "old answer"), ("user", "Hello?")]
        assert (await tab.reload(thread_id)).texts() == expected
        assert (await tab.retry(thread_id, second.user_item["id"])).text == "new answer"
    codes = await chat.select("SELECT status, error_code FROM turns ORDER BY started_at")
    assert codes == [("completed", None), ("failed", "no_answer"), ("failed", "no_answer"), ("completed", None)]


@both_databases
@pytest.mark.parametrize(
    ("kind", "text"), [(bool, '{"response":false}'), (int, '{"response":0}'), (list[str], '{"response":[]}')]
)
async def test_any_structured_output_counts_as_an_answer(start: Start, kind: Any, text: str) -> None:
    chat = await start(Agent(name="test", output_type=kind))
    chat.upstream.script(Answer(text))
    async with await chat.visitor() as tab:
        reply = await tab.create("Is it?")
        assert reply.error is None
        assert await chat.turns(reply.thread_id) == [("completed", None)]


async def test_a_title_does_not_count_as_an_answer(start: Start) -> None:
    chat = await start(titles=True)
    blank = Answer(Text("  "), hang_after=0)
    chat.upstream.default = lambda request: Answer("Apple cake") if is_title(request) else blank
    async with await chat.visitor() as tab, asking(tab, "How do I bake a cake with apples?") as reply:
        await reply.wait_for("thread.updated")
        await chat.upstream.wait_for_request(2)  # the title may come before the model is asked for the answer
        chat.upstream.release()
        await reply.read()
        assert reply.error is not None
        assert reply.error["message"].startswith("The model gave no answer.")
