"""An answer that the provider cut, at the token limit or by its content filter, keeps its text and says so."""

import pytest

from chatkit_server.errors.failures import NOTICES
from tests.support.openai_answers import Answer, Reasoning
from tests.turns.chat import Chat

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])


@both_apis
async def test_an_answer_cut_at_the_token_limit_is_kept_and_completed(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", incomplete="max_output_tokens"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert (reply.text, reply.error) == ("one two three", None)
        thread_id = reply.thread_id
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two three")]
        assert await chat.turns(thread_id) == [("completed", None)]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert (await tab.send(thread_id, "Go on")).error is None


async def test_an_answer_cut_by_the_content_filter_says_so_and_offers_no_retry(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", incomplete="content_filter"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert (reply.text, reply.error) == ("one two three", None)
        assert [notice["message"] for notice in reply.of_type("notice")] == [NOTICES["content_filter"]]
        rows = await chat.select("SELECT status, error_code FROM turns WHERE thread_id = :id", id=reply.thread_id)
        assert rows == [("completed", "content_filter")]


async def test_thinking_that_used_all_tokens_is_not_an_answer(chat: Chat) -> None:
    chat.upstream.script(Answer(reasoning=Reasoning(summary=("I think",)), incomplete="max_output_tokens"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert reply.error is not None
        assert reply.error["allow_retry"]
        assert await chat.turns(reply.thread_id) == [("failed", None)]
