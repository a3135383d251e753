"""Ids of an author's items: kept where they are free, replaced where not, and found again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agents.models.fake_id import FAKE_RESPONSES_ID as FAKE
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ClientToolCallItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
)

from tests.adopted.play_server import PlayServer, message
from tests.serving import serve
from tests.support.chatkit import ChatKitClient, Reply


async def welcome(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    yield ThreadItemDoneEvent(item=message(thread, f"Welcome to {thread.id}", "welcome"))


async def recall(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    item = await server.store.load_item(thread.id, "welcome", context)
    assert item.type == "assistant_message"
    yield ThreadItemDoneEvent(item=message(thread, f"I said: {item.content[0].text}", "recall"))


async def fakes(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    for text in ("one", "two"):
        yield ThreadItemAddedEvent(item=message(thread, "", FAKE))
        update = AssistantMessageContentPartTextDelta(content_index=0, delta=text)
        yield ThreadItemUpdatedEvent(item_id=FAKE, update=update)
        yield ThreadItemDoneEvent(item=message(thread, text, FAKE))
    item = message(thread, "", FAKE)
    yield ThreadItemDoneEvent(
        item=ClientToolCallItem(
            id=FAKE, thread_id=thread.id, created_at=item.created_at, call_id="c", name="look", arguments={}
        )
    )


async def withdrawn(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    for text in ("one", "two"):
        yield ThreadItemAddedEvent(item=message(thread, "", FAKE))
        yield ThreadItemDoneEvent(item=message(thread, text, FAKE))
    yield ThreadItemRemovedEvent(item_id=FAKE)
    yield ThreadItemDoneEvent(item=message(thread, "three", FAKE))


async def elsewhere(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    item = message(thread, "one", "msg_1")
    yield ThreadItemDoneEvent(item=item.model_copy(update={"thread_id": "thr_of_a_template"}))


def ids(reply: Reply) -> list[str]:
    return [event["item"]["id"] for event in reply.of_type("thread.item.done")][1:]


async def check_reload(tab: ChatKitClient, reply: Reply) -> None:
    assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items


async def test_the_same_id_in_two_threads_becomes_two(tmp_path: Path) -> None:
    server = PlayServer(welcome, welcome, recall, recall)
    async with serve(tmp_path, server=server) as served, served.tab() as tab, served.tab() as other:
        first, second = await tab.create("hello"), await other.create("hello")
        assert ids(first) == ["welcome"], "a free id is kept"
        assert ids(second)[0].startswith("msg_")
        for client, reply in ((tab, first), (other, second)):
            again = await client.send(reply.thread_id, "what did you say?")
            assert again.text == f"I said: Welcome to {reply.thread_id}"
            await check_reload(client, reply)


async def test_each_item_with_the_id_of_chat_completions_gets_its_own(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(fakes)) as served, served.tab() as tab:
        reply = await tab.create("hello")
        assert len(set(ids(reply))) == 3
        assert FAKE not in ids(reply)
        assert [text for _, text in tab.pictures[reply.thread_id].texts()] == ["hello", "one", "two"]
        await check_reload(tab, reply)


async def test_removing_an_id_removes_all_items_that_had_it(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(withdrawn)) as served, served.tab() as tab:
        reply = await tab.create("hello")
        assert [text for _, text in tab.pictures[reply.thread_id].texts()] == ["hello", "three"]
        await check_reload(tab, reply)


async def test_an_item_belongs_to_the_thread_of_the_turn(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(elsewhere)) as served, served.tab() as tab:
        reply = await tab.create("hello")
        assert reply.picture.items[-1]["thread_id"] == reply.thread_id
        await check_reload(tab, reply)
