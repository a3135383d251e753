"""The inbox of an answer keeps the order, wakes its reader, and loses nothing when the reader is cancelled."""

import asyncio

import pytest
from chatkit.types import ProgressUpdateEvent

from chatkit_server.fast_path.inbox import Inbox, LateQueue


async def test_entries_come_out_in_the_order_in_which_they_were_put() -> None:
    inbox, read = Inbox(), []
    for number in range(3):
        inbox.put_nowait(number)
    read.append(await inbox.get())
    for number in range(3, 6):
        inbox.put_nowait(number)
    assert inbox.qsize() == 5
    while not inbox.empty():
        read.append(inbox.get_nowait())
    assert read == list(range(6))
    with pytest.raises(asyncio.QueueEmpty):
        inbox.get_nowait()


async def test_a_waiting_reader_is_woken_and_a_second_one_refused() -> None:
    inbox = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one reader"):
        await inbox.get()
    inbox.put_nowait("a")
    inbox.put_nowait("b")
    assert await reader == "a"
    assert await inbox.get() == "b"


async def test_an_entry_stays_when_its_reader_is_cancelled() -> None:
    inbox = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait("a")
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await inbox.get() == "a"


async def test_a_late_queue_has_nothing_until_it_is_used() -> None:
    queue = LateQueue()
    assert vars(queue) == {}
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    await queue.put(ProgressUpdateEvent(text="x"))
    assert (await reader).text == "x"
    assert queue.empty()
    with pytest.raises(AttributeError):
        _ = queue.nothing
