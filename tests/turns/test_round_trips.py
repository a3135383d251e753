"""How often a turn asks the database: twice, for its start, and for its end with the answer."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkit_server import ChatServer, RequestContext
from chatkit_server.events.last_item import LastItemDoneEvent
from chatkit_server.memory import Memory
from chatkit_server.memory.converter import SafeConverter
from chatkit_server.memory.first_message import first_message
from tests.support.openai_server import OpenAIServer
from tests.support.round_trips import round_trips
from tests.turns.conftest import Start

QUIET = {"heartbeat_seconds": 60, "journal_ms": 10_000}
"""What the worker does besides the turn."""


async def test_a_turn_of_a_new_thread_takes_two_round_trips(start: Start) -> None:
    chat = await start(**QUIET)
    async with chat.tab() as tab:
        for number in range(4):
            await tab.create(f"Hello {number}")
        await chat.quiet()
        for number in range(20):
            with round_trips(chat.services.engine) as trips:
                await tab.create(f"Hello again {number}")
                await chat.quiet()
            if "prepare" not in trips:  # each of the pool's connections prepares each statement once
                break
    assert len(trips) == 2, trips


class Compared(ChatServer):
    """Builds the input of a new thread also from what is saved."""

    pairs: list[tuple[Any, Any]]

    async def open_context(self, thread: ThreadMetadata, context: RequestContext) -> Any:
        if (first := first_message.get()) is not None:
            given = Memory.of_first_message(first, self.sql_store, context, self.memory_cache)
            saved = await Memory.load(self.sql_store, thread, context)
            self.pairs.append((await parts_of(given), await parts_of(saved)))
        return await super().open_context(thread, context)


async def parts_of(memory: Memory) -> Any:
    model_input = await memory.model_input(SafeConverter(), budget=1000, origin="o")
    return model_input, memory.recent_items, memory.user_text, memory.last_agent, memory.is_continued


async def test_the_input_of_a_new_thread_is_that_which_is_saved(start: Start) -> None:
    chat = await start(server=Compared)
    server = chat.services.server
    assert isinstance(server, Compared)
    server.pairs = []
    async with chat.tab() as tab:
        created = await tab.create("Hello \ud83d\ude00 \u2028 <b>")
        await tab.send(created.thread_id, "More")
    ((given, saved),) = server.pairs
    assert given == saved


class Informed(ChatServer):
    """Writes to the thread before its agent runs."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        note = HiddenContextItem(id="note", thread_id=thread.id, created_at=thread.created_at, content="It rains.")
        await self.store.add_thread_item(thread.id, note, context)
        async for event in super().respond(thread, input_user_message, context):
            yield event


async def test_a_subclass_may_write_to_a_new_thread_before_it_is_read(start: Start, upstream: OpenAIServer) -> None:
    chat = await start(server=Informed)
    async with chat.tab() as tab:
        await tab.create("Hello")
    assert "It rains." in str(upstream.requests[-1].body)


class Early(ChatServer):
    """Says too early that an item is the last."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        item = AssistantMessageItem(
            id="msg_last",
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text="Hello.")],
        )
        yield ThreadItemAddedEvent(item=item.model_copy(update={"content": []}))
        yield LastItemDoneEvent.model_construct(item=item)
        yield ProgressUpdateEvent(text="And more.")


async def test_an_item_that_something_follows_is_saved_and_done_before_it(start: Start) -> None:
    chat = await start(server=Early)
    async with chat.tab() as tab:
        reply = await tab.create("Hello")
        kinds = [event["type"] for event in reply.events]
        assert kinds[-3:] == ["thread.item.added", "thread.item.done", "progress_update"]
        assert (await tab.reload(reply.thread_id)).items[-1]["id"] == "msg_last"
