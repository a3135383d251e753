"""Delete a thread while a turn runs on it."""

import asyncio
import logging

import pytest
from sqlalchemy import inspect

from chatkit_store.tables import metadata
from tests.support.openai_answers import Answer
from tests.support.openai_server import ModelRequest
from tests.turns.chat import Chat, model_input, thread_of


async def rows_left(chat: Chat, thread_id: str) -> dict[str, int]:
    """Return the tables that still refer to the thread."""
    counts = {}
    for table in metadata.sorted_tables:
        columns = [c.name for c in inspect(table).columns]
        if table.name in ("workers", "chat_sessions", "api_keys", "deleted_turns", "deleted_threads"):
            continue  # not about threads; the last two keep what limits count, and the position
        if table.name == "threads":
            where = "id = :id"
        elif "thread_id" in columns:
            where = "thread_id = :id"
        elif "item_id" in columns:
            where = "item_id NOT IN (SELECT id FROM thread_items)"
        else:
            where = "turn_id NOT IN (SELECT id FROM turns)"
        ((count,),) = await chat.select(f"SELECT count(*) FROM {table.name} WHERE {where}", id=thread_id)
        counts[table.name] = count
    return {name: count for name, count in counts.items() if count}


async def test_deleting_a_thread_stops_its_answer_and_leaves_nothing(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab:
        stream = await chat.ask(tab, "Count")
        await stream.read_until(lambda frame: ' two"' in frame.data)
        thread_id = thread_of(stream)
        assert await rows_left(chat, thread_id) == {"threads": 1, "thread_items": 1, "turns": 1}
        reply = await tab.post("threads.delete", {"thread_id": thread_id})
        assert reply.status == 200
        assert chat.upstream.requests[0].client_gone
        await stream.read_to_end()
        assert stream.ended
        stream.close()
        await tab.session.close()
        await chat.quiet()
        assert await rows_left(chat, thread_id) == {}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_message_sent_during_the_deletion_does_not_restore_the_thread(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: ModelRequest) -> Answer:
        return Answer("one") if model_input(request)[-1][1] == "Hello" else Answer("one two three", hang_after=2)

    chat.upstream.default = answer
    async with await chat.visitor() as tab:
        for _ in range(5):
            thread_id = (await tab.create("Hello")).thread_id
            sending = [asyncio.create_task(tab.send(thread_id, "More")) for _ in range(3)]
            deleted = await tab.post("threads.delete", {"thread_id": thread_id})
            chat.upstream.release()
            await asyncio.gather(*sending)
            assert deleted.status == 200
            assert await rows_left(chat, thread_id) == {}
        await tab.session.close()
        await chat.quiet()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_another_user_cannot_stop_an_answer_by_deleting_its_thread(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, await chat.visitor() as stranger, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        assert (await stranger.post("threads.delete", {"thread_id": thread_of(stream)})).status == 404
        chat.upstream.release()
        await stream.read_to_end()
        assert await chat.turns(thread_of(stream)) == [("completed", None)]
