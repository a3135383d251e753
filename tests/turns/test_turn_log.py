"""The log of one turn's frames, and the timer of the pings."""

import asyncio

import pytest

from chatkit_server.routes.stream import _Pings
from chatkit_server.turn_log import TurnLog
from tests.support.openai_answers import Answer
from tests.support.sse import parse
from tests.turns.conftest import Start


async def read_all(log: TurnLog, gate: asyncio.Semaphore) -> list[bytes]:
    """A reader that takes a piece each time the gate lets it."""
    pieces: list[bytes] = []
    position = 0
    while True:
        await gate.acquire()
        while position == len(log) and not log.closed:
            await log.changed()
        if position == len(log):
            return pieces
        pieces.append(log.since(position))
        position = len(log)


async def test_two_readers_get_every_frame_at_their_own_pace() -> None:
    log = TurnLog()
    eager, lazy = asyncio.Semaphore(1000), asyncio.Semaphore(0)
    tasks = [asyncio.create_task(read_all(log, gate)) for gate in (eager, lazy)]
    for number in range(5):
        log.append(b'{"n":%d}' % number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    log.close()
    async with asyncio.timeout(1):
        one_by_one = await tasks[0]
        for _ in range(3):
            lazy.release()
        at_once = await tasks[1]
    assert len(one_by_one) == 5
    assert len(at_once) == 1
    assert b"".join(one_by_one) == at_once[0]
    frames = parse(at_once[0])
    assert [(frame.id, frame.json["n"]) for frame in frames] == [(str(n + 1), n) for n in range(5)]


async def test_a_reader_that_comes_late_gets_everything() -> None:
    log = TurnLog()
    log.append(b"{}")
    log.close()
    async with asyncio.timeout(1):
        (piece,) = await read_all(log, asyncio.Semaphore(9))
    assert piece == b"id: 1\ndata: {}\n\n"


@pytest.mark.parametrize("signal", ["append", "wake", "close"])
async def test_a_waiting_reader_is_woken(signal: str) -> None:
    log = TurnLog()
    waiting = [asyncio.create_task(log.changed()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    log.append(b"{}") if signal == "append" else getattr(log, signal)()
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)


async def test_a_pausing_reader_lets_text_gather() -> None:
    log = TurnLog()
    pausing = asyncio.create_task(log.pause(60))
    await asyncio.sleep(0)
    log.append_text(b"{}")
    log.append_text(b"{}")
    await asyncio.sleep(0)
    assert not pausing.done()
    log.append(b"{}")
    async with asyncio.timeout(1):
        await pausing
    assert (len(log), log.last_text) == (3, 2)


@pytest.mark.parametrize("signal", ["append", "wake", "close"])
async def test_a_pause_ends_early_for_anything_but_text(signal: str) -> None:
    log = TurnLog()
    pausing = [asyncio.create_task(log.pause(60)) for _ in range(3)]
    await asyncio.sleep(0)
    log.append(b"{}") if signal == "append" else getattr(log, signal)()
    async with asyncio.timeout(1):
        await asyncio.gather(*pausing)


async def test_a_pause_is_over_when_its_time_is_and_leaves_nothing_behind() -> None:
    log = TurnLog()
    async with asyncio.timeout(1):
        await log.pause(0.01)
    assert log._pausing == []


async def test_a_reader_that_is_cancelled_leaves_nothing_behind() -> None:
    log = TurnLog()
    gone, stays = asyncio.create_task(log.changed()), asyncio.create_task(log.changed())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    assert len(log._waiting) == 1
    log.append(b"{}")
    async with asyncio.timeout(1):
        await stays
    assert log._waiting == []


async def test_the_ping_timer_wakes_in_silence_only_and_stops() -> None:
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    pings = _Pings(0.05, woken.set)
    assert not pings.due()
    began = loop.time()
    async with asyncio.timeout(2):
        await woken.wait()
    assert pings.due()
    assert loop.time() - began >= 0.045
    pings.sent()
    assert not pings.due()
    woken.clear()
    async with asyncio.timeout(2):
        await woken.wait()  # one ping is not the last one
    assert pings.due()
    pings.stop()
    assert pings._timer.cancelled()


async def test_a_silent_answer_is_pinged_and_a_lively_one_is_not(start: Start) -> None:
    chat = await start(ping_seconds=0.5)
    chat.upstream.script(Answer("one two three four five six", rate=10), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab:
        async with await chat.ask(tab, "Count") as stream:
            frames = await stream.read_to_end()
            assert all(frame.comment is None for frame in frames)
        async with await chat.ask(tab, "Count") as stream:
            for _ in range(2):
                await stream.read_until(lambda frame: frame.comment == "ping")
            chat.upstream.release()
            await stream.read_to_end()
            assert stream.ended
            ids = [frame.id for frame in stream.frames if frame.comment is None]
            assert ids == [str(number + 1) for number in range(len(ids))], "a ping took an id"
        await tab.session.close()
        await chat.quiet()


async def test_a_pause_ends_by_itself_however_much_text_comes() -> None:
    log = TurnLog()
    pause = asyncio.create_task(log.pause(0.05))
    await asyncio.sleep(0)
    for _ in range(10):
        log.append_text(b"{}")
    await asyncio.sleep(0)
    assert not pause.done()
    async with asyncio.timeout(1):
        await pause


@pytest.mark.parametrize("end", ["append", "wake", "close"])
async def test_a_pause_ends_at_once_for_anything_but_text(end: str) -> None:
    log = TurnLog()
    pause = asyncio.create_task(log.pause(60))
    await asyncio.sleep(0)
    log.append(b"{}") if end == "append" else getattr(log, end)()
    async with asyncio.timeout(1):
        await pause


async def test_text_wakes_a_reader_that_waits_and_is_remembered_as_text() -> None:
    log = TurnLog()
    waiting = asyncio.create_task(log.changed())
    await asyncio.sleep(0)
    log.append_text(b"{}")
    async with asyncio.timeout(1):
        await waiting
    log.append(b"{}")
    assert (len(log), log.last_text) == (2, 1)
