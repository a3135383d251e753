"""Events as authors write them by hand: mixed times, updates without an event, changes of the thread."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    LockedStatus,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
)

from tests.adopted.play_server import PlayServer, message
from tests.serving import serve


async def careless(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    bare: Any = AssistantMessageContentPartTextDelta(content_index=0, delta="lost")
    yield bare
    yield bare
    yield ThreadItemUpdatedEvent(item_id="msg_unknown", update=bare)
    item = message(thread, "", "msg_1")
    yield ThreadItemAddedEvent(item=item)
    assert item.created_at.tzinfo is None, "the author's own object stays as it was"
    for index in (2, 0):
        update = AssistantMessageContentPartTextDelta(content_index=index, delta=str(index))
        yield ThreadItemUpdatedEvent(item_id="msg_1", update=update)
    yield ThreadItemDoneEvent(
        item=message(thread, "aware", "msg_2").model_copy(update={"created_at": datetime.now(UTC)})
    )
    yield ThreadItemDoneEvent(item=message(thread, "naive", "msg_1"))


async def test_careless_events_do_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(tmp_path, server=PlayServer(careless)) as served, served.tab() as tab:
        reply = await tab.create("hello")
        assert reply.error is None
        assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items
        assert [text for _, text in tab.pictures[reply.thread_id].texts()] == ["hello", "naive", "aware"]
    assert len([record for record in caplog.records if "PartTextDelta" in record.getMessage()]) == 1


async def renames(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    assert thread.title is None
    assert abs((datetime.now() - thread.created_at).total_seconds()) < 60  # noqa: DTZ005 - as chatkit's samples
    thread.title = "Of the author"
    thread.metadata["mood"] = "good"
    yield ThreadItemDoneEvent(item=message(thread, "named", "msg_1"))
    thread.status = LockedStatus(reason="enough")


async def reads(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    stored = await server.store.load_thread(thread.id, context)
    yield ThreadItemDoneEvent(item=message(thread, f"{thread.title}, {stored.title}", "msg_2"))


async def test_changes_of_the_thread_object_are_saved(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(renames)) as served, served.tab() as tab:
        reply = await tab.create("hello")
        thread = await served.load_thread(reply.thread_id)
        assert (thread.title, thread.metadata) == ("Of the author", {"mood": "good"})
        assert thread.status == LockedStatus(reason="enough")
        assert reply.picture.thread["title"] == "Of the author"
        assert [entry["title"] for entry in await tab.history()] == ["Of the author"]


async def test_a_title_that_the_user_gave_meanwhile_stays(tmp_path: Path) -> None:
    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        renamed = await tab.post("threads.update", {"thread_id": thread.id, "title": "Of the user"})
        assert renamed.status == 200
        thread.metadata["seen"] = True
        await server.store.save_thread(thread, context)
        yield ThreadItemDoneEvent(item=message(thread, "done", "msg_1"))

    async with serve(tmp_path, server=PlayServer(scene, reads)) as served, served.tab() as tab:
        await tab.history()  # its cookie: the scene may begin before that of the answer has arrived
        reply = await tab.create("hello")
        thread = await served.load_thread(reply.thread_id)
        assert (thread.title, thread.metadata) == ("Of the user", {"seen": True})
        assert (await tab.send(reply.thread_id, "hello")).text == "Of the user, Of the user"


async def test_a_thread_that_nobody_named_gets_its_first_words_also_when_the_turn_fails(tmp_path: Path) -> None:
    async def fails(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemDoneEvent(item=message(thread, "so far", "msg_1"))
        raise RuntimeError("broken")

    async with serve(tmp_path, server=PlayServer(fails)) as served, served.tab() as tab:
        reply = await tab.create("What a day")
        assert reply.error is not None
        assert reply.picture.thread["title"] == "What a day"
        assert [entry["title"] for entry in await tab.history()] == ["What a day"]
