"""The store under chatkit's own server, without ours."""

import json
from collections.abc import AsyncIterator
from typing import Any

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkit_store import SqlStore
from tests.store.conftest import Query
from tests.store.factories import ALICE, NOON, User, hidden_item

Store = SqlStore[User]


class Parrot(ChatKitServer[User]):
    """Streams back the user's message, saves a hidden item and counts answers in the thread's metadata."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: User
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert input_user_message is not None
        words = input_user_message.content[0].text.split()
        id = self.store.generate_item_id("message", thread, context)
        item = AssistantMessageItem(id=id, thread_id=thread.id, created_at=NOON, content=[])
        yield ThreadItemAddedEvent(item=item)
        for word in words:
            delta = AssistantMessageContentPartTextDelta(content_index=0, delta=word + " ")
            yield ThreadItemUpdatedEvent(item_id=id, update=delta)
        content = AssistantMessageContent(text=" ".join(words))
        yield ThreadItemDoneEvent(item=item.model_copy(update={"content": [content]}))
        yield ThreadItemDoneEvent(item=hidden_item(thread_id=thread.id))
        await self.rename(thread.id, context)
        thread.metadata["answers"] = thread.metadata.get("answers", 0) + 1

    async def rename(self, thread_id: str, context: User) -> None:
        """Rename the thread like the user in another tab while the answer streams."""
        await ask(self, "threads.update", {"thread_id": thread_id, "title": "Renamed"}, context)


async def ask(server: Parrot, operation: str, params: dict[str, Any], context: User = ALICE) -> list[Any]:
    """Return the events of a request, or its only response."""
    result = await server.process(json.dumps({"type": operation, "params": params}), context)
    if isinstance(result, NonStreamingResult):
        return [json.loads(result.json)]
    assert isinstance(result, StreamingResult)
    return [json.loads(chunk.removeprefix(b"data: ")) async for chunk in result]


def user_input(text: str) -> dict[str, Any]:
    return {"content": [{"type": "input_text", "text": text}], "attachments": [], "inference_options": {}}


def texts_in(thread: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in thread["items"]["data"]]


async def test_stock_server_streams_saves_and_loads_a_conversation(store: Store, sql: Query) -> None:
    server = Parrot(store)
    events = await ask(server, "threads.create", {"input": user_input("polly wants tea")})
    thread_id = events[0]["thread"]["id"]
    assert not [event for event in events if event["type"] == "error"]
    await ask(server, "threads.add_user_message", {"thread_id": thread_id, "input": user_input("and a biscuit")})
    loaded = (await ask(server, "threads.get_by_id", {"thread_id": thread_id}))[0]
    assert texts_in(loaded) == ["polly wants tea"] * 2 + ["and a biscuit"] * 2
    assert loaded["title"] == "Renamed"
    assert (await store.load_thread(thread_id, ALICE)).metadata == {"answers": 2}
    assert len(await sql("SELECT * FROM thread_items WHERE hidden")) == 2


async def test_stock_server_retries_deletes_and_lists(store: Store) -> None:
    server = Parrot(store)
    events = await ask(server, "threads.create", {"input": user_input("once")})
    thread_id, question = events[0]["thread"]["id"], events[1]["item"]["id"]
    retried = await ask(server, "threads.retry_after_item", {"thread_id": thread_id, "item_id": question})
    assert not [event for event in retried if event["type"] == "error"]
    page = (await ask(server, "items.list", {"thread_id": thread_id, "order": "asc", "limit": 100_000_000}))[0]
    assert [item["type"] for item in page["data"]] == ["user_message", "assistant_message"]
    everything = await store.load_thread_items(thread_id, None, 10, "asc", ALICE)
    assert isinstance(everything.data[-1], HiddenContextItem)
    assert [thread["id"] for thread in (await ask(server, "threads.list", {"limit": 9999}))[0]["data"]] == [thread_id]
    await ask(server, "threads.delete", {"thread_id": thread_id})
    assert (await ask(server, "threads.list", {}))[0]["data"] == []
