"""What an author's code writes into the fields of its store, past the store's methods, does not get lost unnoticed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ThreadItemDoneEvent, ThreadMetadata, ThreadStreamEvent

from chatkit_server.adopted.stray_objects import find_strays
from tests.adopted.play_server import PlayServer, message
from tests.serving import serve

THREAD = ThreadMetadata(id="thr_1", created_at=datetime.now())  # noqa: DTZ005 - as chatkit's samples


@dataclass
class Entry:
    thread: ThreadMetadata
    items: list[Any] = field(default_factory=list)


@dataclass
class Fields:
    nested: dict[str, Entry]
    items: list[Any]
    many: list[Any]
    other: dict[str, Any]
    _chatkit_own: Any = None


def test_chatkit_objects_are_found_in_containers_and_in_objects_in_them() -> None:
    item = message(THREAD, "hi", "msg_1")
    fields = Fields(
        nested={"thr_1": Entry(THREAD, [item, item])},
        items=[(item,)],
        many=[*range(100_000), item],
        other={"cats": [1, 2, 3], "class": ThreadMetadata, "function": message},
        _chatkit_own=THREAD,
    )
    assert find_strays(fields) == {"nested": 3, "items": 1, "many": 1}


def test_an_object_without_fields_and_one_that_holds_itself_have_none() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert find_strays(Fields({}, [], loop, {})) == {}
    assert find_strays(object()) == {}


async def past_the_methods(
    server: PlayServer, thread: ThreadMetadata, context: Any
) -> AsyncIterator[ThreadStreamEvent]:
    server.store._items(thread.id).append(message(thread, "secret words", "msg_lost"))
    yield ThreadItemDoneEvent(item=message(thread, "done", "msg_1"))


async def test_what_a_turn_writes_past_the_methods_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(tmp_path, server=PlayServer(past_the_methods)) as served, served.tab() as tab:
        assert (await tab.create("hello")).text == "done"
    (record,) = (record for record in caplog.records if "MemoryStore" in record.getMessage())
    assert record.levelname == "ERROR"
    assert "_entries (2 objects)" in record.getMessage()
    assert "secret" not in caplog.text


async def test_what_the_store_holds_at_the_start_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = PlayServer()
    await server.store.save_thread(THREAD, {})
    async with serve(tmp_path, server=server):
        pass
    (record,) = (record for record in caplog.records if "MemoryStore" in record.getMessage())
    assert (record.levelname, "_entries (1 object)" in record.getMessage()) == ("WARNING", True)
