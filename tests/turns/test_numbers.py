"""What the database knows of a turn in numbers, and of one that a crash cut off."""

import pytest

from store import NewTurn, new_id
from tests.support.openai_answers import Answer
from tests.turns.chat import Chat
from tests.turns.conftest import Start


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_a_turn_counts_its_tokens_as_the_provider_does(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three four", rate=50))
    async with await chat.visitor() as tab:
        await tab.create("Count")
    query = "SELECT status, input_tokens, output_tokens, tokens_per_second, first_token_ms, duration_ms FROM turn_stats"
    ((status, into, out, per_second, first_token_ms, duration_ms),) = await chat.select(query)
    assert (status, out) == ("completed", 4)
    assert into > 0
    assert per_second > 0
    assert 0 <= first_token_ms <= duration_ms


async def test_a_server_that_starts_ends_what_a_crash_left_running(start: Start) -> None:
    before = await start()
    before.upstream.script(Answer("one two three"))
    async with await before.visitor() as tab:
        thread_id = (await tab.create("Count")).thread_id
    crashed = NewTurn(id=new_id("turn"), thread_id=thread_id, kind="threads.add_user_message", request_id="r")
    await before.services.turn_store.start(crashed, await before.owner(thread_id))

    after = await start()
    is_alone = after.services.engine.dialect.name == "sqlite"  # on PostgreSQL another worker may be running it
    ending = ("interrupted", "crash") if is_alone else ("running", None)
    assert await after.turns(thread_id) == [("completed", None), ending]
