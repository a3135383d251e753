"""The store of an adopted server: the database, as the asking user sees it, wherever the author's code keeps it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, cast

import pytest
from chatkit.agents import AgentContext
from chatkit.store import AttachmentStore, NotFoundError, StoreItemType
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    FileAttachment,
    HiddenContextItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
)
from pydantic import ConfigDict, Field

from chatkit_server import create_app
from chatkit_server.adopted.outside_call import OutsideRequest
from tests.adopted.play_server import PlayServer, Scene, message
from tests.adopted.servers.memory_store import MemoryStore
from tests.serving import Served, Tab, make_settings, serve


class NarrowContext(AgentContext[dict[str, Any]]):
    """As in chatkit's samples: pydantic checks that the store has the author's class."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    store: Annotated[MemoryStore, Field(exclude=True)]


class CountingStore(MemoryStore):
    """Has methods of its own, over those of chatkit and over its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[int] = []

    async def count(self, thread_id: str, context: Any) -> int:
        page = await self.load_thread_items(thread_id, None, 100, "asc", context)
        self.counted.append(len(page.data))
        return len(page.data)


@dataclass(frozen=True)
class FrozenStore(MemoryStore):
    """Has settings that do not change."""

    _entries: dict[str, Any] = field(default_factory=dict)
    _attachments: dict[str, Any] = field(default_factory=dict)


class StoreOfAll(MemoryStore, AttachmentStore[dict[str, Any]]):
    """Keeps the bytes of files as well."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}

    async def create_attachment(self, input: AttachmentCreateParams, context: dict[str, Any]) -> Attachment:
        attachment = FileAttachment(
            id=self.generate_attachment_id(input.mime_type, context), name=input.name, mime_type=input.mime_type
        )
        self.files[attachment.id] = b"bytes"
        return attachment

    async def delete_attachment(self, attachment_id: str, context: dict[str, Any]) -> None:
        await super().delete_attachment(attachment_id, context)
        self.files.pop(attachment_id, None)


async def answer(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    item_id = server.store.generate_item_id("message", thread, context)
    yield ThreadItemDoneEvent(item=message(thread, "hello", item_id))


async def ask(served: Served, tab: Tab, server: PlayServer, scene: Scene) -> str:
    """Have the server play a scene; return the thread's id."""
    server.scenes.append(scene)
    reply = await tab.create("hello")
    assert reply.error is None, reply.error
    return reply.thread_id


async def test_no_context_reaches_the_threads_of_another_user(tmp_path: Path) -> None:
    server = PlayServer()
    seen: list[Any] = []

    async def spy(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        store = server.store
        contexts: list[Any] = [context, server.contexts[0], await served.owner(hers), None, {"user_id": "her"}]
        for forged in contexts:
            for call in (
                lambda forged=forged: store.load_thread(hers, forged),
                lambda forged=forged: store.load_thread_items(hers, None, 10, "asc", forged),
                lambda forged=forged: store.save_item(hers, message(thread, "mine", "msg_mine"), forged),
                lambda forged=forged: store.load_item(hers, items[0]["id"], forged),
            ):
                with pytest.raises(NotFoundError):
                    await call()
            await store.delete_thread(hers, forged)
            await store.delete_thread_item(hers, items[0]["id"], forged)
            seen.append([entry.id for entry in (await store.load_threads(10, None, "asc", forged)).data])
        async for event in answer(server, thread, context):
            yield event

    async with serve(tmp_path, server=server) as served, served.tab() as her, served.tab() as tab:
        hers = await ask(served, her, server, answer)
        items = (await her.reload(hers)).items
        own = await ask(served, tab, server, spy)
        assert seen == [[own]] * 5
        assert (await her.reload(hers)).items == items


async def test_it_is_the_object_that_the_author_made_wherever_that_is_kept(tmp_path: Path) -> None:
    server = PlayServer()
    store = CountingStore()
    server.store = store
    kept = {"in a helper": store}

    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        NarrowContext(thread=thread, store=server.store, request_context=context)
        assert await kept["in a helper"].count(thread.id, context) == 1
        assert await store.count(thread.id, None) == 1
        async for event in answer(server, thread, context):
            yield event

    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        await ask(served, tab, server, scene)
    assert store.counted == [1, 1]


async def test_a_frozen_store_is_replaced_too(tmp_path: Path) -> None:
    server = PlayServer()
    server.store = FrozenStore()
    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        thread_id = await ask(served, tab, server, answer)
        assert (await tab.reload(thread_id)).texts()[-1] == ("assistant", "hello")


@pytest.mark.parametrize("is_used_again", [False, True])
async def test_a_store_that_also_keeps_files_deletes_their_bytes(tmp_path: Path, is_used_again: bool) -> None:
    server, store = PlayServer(), StoreOfAll()
    server.store = server.attachment_store = store
    if is_used_again:
        create_app(make_settings(tmp_path), server=server)
    async with serve(tmp_path, server=server, attachments=True) as served, served.tab() as tab:
        created = await tab.post("attachments.create", {"name": "a.txt", "size": 5, "mime_type": "text/plain"})
        assert list(store.files) == [created.body["id"]]
        assert (await tab.post("attachments.delete", {"attachment_id": created.body["id"]})).status == 200
        assert store.files == {}
        assert await served.rows("SELECT id FROM attachments") == []


async def test_a_task_of_the_request_may_write_when_the_turn_has_ended(tmp_path: Path) -> None:
    server, ended = PlayServer(), asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def name_it(thread: ThreadMetadata, context: Any) -> None:
        await ended.wait()
        thread.title = "A late title"
        await server.store.save_thread(thread, context)

    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        tasks.append(asyncio.create_task(name_it(thread, context)))
        async for event in answer(server, thread, context):
            yield event

    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        await ask(served, tab, server, scene)
        assert [entry["title"] for entry in await tab.history()] == ["hello"]
        ended.set()
        await asyncio.wait_for(tasks[0], 30)
        assert [entry["title"] for entry in await tab.history()] == ["A late title"]


async def test_it_is_as_forgiving_as_the_stores_of_the_samples(tmp_path: Path) -> None:
    server = PlayServer()

    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        store = server.store
        await store.delete_thread("thr_unknown", context)
        await store.delete_thread_item(thread.id, "msg_unknown", context)
        await store.delete_attachment("atc_unknown", context)
        kind = cast(StoreItemType, "note")
        assert store.generate_item_id(kind, thread, context).startswith("note_")
        earlier = datetime.now() - timedelta(hours=1)  # noqa: DTZ005 - as chatkit's samples
        hidden = HiddenContextItem(id="note", thread_id="elsewhere", created_at=earlier, content={"a": 1})
        for _ in range(2):
            await store.add_thread_item(thread.id, hidden, context)
        page = await store.load_thread_items(thread.id, None, 1000, "asc", context)
        assert [item.id for item in page.data][1:] == ["note"]
        assert abs(page.data[1].created_at - hidden.created_at) < timedelta(seconds=1)
        for index in range(520):
            await store.add_thread_item(thread.id, hidden.model_copy(update={"id": f"note_{index}"}), context)
        page = await store.load_thread_items(thread.id, None, 1000, "asc", context)
        assert (len(page.data), page.has_more) == (522, False)
        page = await store.load_thread_items(thread.id, None, 510, "desc", context)
        assert (len(page.data), page.has_more, page.data[0].id) == (510, True, "note_519")
        async for event in answer(server, thread, context):
            yield event

    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        await ask(served, tab, server, scene)


async def test_outside_of_requests_nobody_is_assumed(tmp_path: Path) -> None:
    server = PlayServer()
    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        thread_id = await ask(served, tab, server, answer)
        contexts: list[Any] = [{}, None, {"request": None}, await served.owner(thread_id)]
        for context in contexts:
            with pytest.raises(OutsideRequest):
                await server.store.load_thread(thread_id, context)


async def test_it_returns_as_many_threads_as_its_code_asks_for(tmp_path: Path) -> None:
    server, pages = PlayServer(), []

    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        for index in range(505):
            await server.store.save_thread(thread.model_copy(update={"id": f"thr_{index}"}), context)
        pages.append(await server.store.load_threads(9999, None, "asc", context))
        pages.append(await server.store.load_threads(503, None, "asc", context))
        async for event in answer(server, thread, context):
            yield event

    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        await ask(served, tab, server, scene)
    assert [(len(page.data), page.has_more) for page in pages] == [(506, False), (503, True)]
